"""Feature learning: change of the weights, the tangent kernel and the representation in training.

The alignment of kernels before and after training, `<K_0, K_1> / (|K_0| |K_1|)`, is 1 if training
only rescales the kernel, and falls as the network learns features.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from rnnjax.arrays import array, leaf
from rnnjax.devices import batch_size, padded_index
from rnnjax.metrics.checks import shared_samples
from rnnjax.metrics.pairwise import Kernel
from rnnjax.typing import Array, Float, Scalar
from rnnjax.validate import one_of, sequence

__all__ = [
    "KernelError",
    "WeightChange",
    "kernel_alignment",
    "ntk_gram",
    "representation_alignment",
    "weight_change",
]

Apply = Callable[[Any, Array], Array]


class KernelError(ValueError):
    """A kernel that has no alignment: one that is all 0, or not finite."""


def _split(params: Any, leaves: Sequence[str] | None) -> tuple[Any, Any]:
    """Parameters to differentiate with respect to, and all others."""
    if leaves is None:
        return params, {}
    if not isinstance(params, dict):
        raise ValueError(f"leaves: expected params to be a dict, got {type(params).__name__}")
    names = [one_of("leaves", name, params) for name in sequence("leaves", leaves)]
    if not names:
        raise ValueError("leaves: expected at least one name, got none")
    chosen = {name: params[name] for name in names}
    return chosen, {name: leaf for name, leaf in params.items() if name not in chosen}


def _entry(apply: Apply, fixed: Any, trial: Array, entry: Any, chosen: Any) -> Scalar:
    """One entry of the outputs of one trial [1, ...]."""
    return apply({**fixed, **chosen} if fixed else chosen, trial).ravel()[entry]


@functools.partial(Kernel, static=("apply", "entries"))
def _jacobian(
    apply: Apply, entries: int, fixed: Any, chosen: Any, inputs: Array, rows: Array
) -> Float[Array, "C P"]:
    """The given rows of the Jacobian; each depends on the inputs of its trial alone."""

    def gradient(row):
        trial = inputs[row // entries][None]
        output = functools.partial(_entry, apply, fixed, trial, row % entries)
        return ravel_pytree(jax.grad(output)(chosen))[0]

    return jax.vmap(gradient)(rows)


@Kernel
def _products(left: Float[Array, "C P"], right: Float[Array, "C P"]) -> Float[Array, "C C"]:
    return left @ right.T


def _outputs(apply: Apply, params: Any, inputs: Array) -> jax.ShapeDtypeStruct:
    """Shape and dtype of the outputs of `apply`."""
    outputs = jax.eval_shape(apply, params, inputs)
    if not isinstance(outputs, jax.ShapeDtypeStruct) or outputs.shape[:1] != inputs.shape[:1]:
        raise ValueError(
            f"apply: expected one array of outputs [B, ...] for inputs of shape {inputs.shape}, "
            f"got {outputs}"
        )
    return outputs


def _bytes_per_row(apply: Apply, fixed: Any, chosen: Any, inputs: Array) -> int:
    """Approximate memory of a row: its gradient and the residuals of a trial's backward pass."""

    def residuals(chosen):
        return jax.vjp(functools.partial(_entry, apply, fixed, inputs[:1], 0), chosen)[1]

    def size(tree):
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

    # Two blocks of rows, and the gradients of a third by leaf, before they are concatenated.
    return 4 * size(chosen) + size(jax.eval_shape(residuals, chosen))


def ntk_gram(
    apply: Apply,
    params: Any,
    inputs: Float[Array | np.ndarray, "B ..."],
    *,
    leaves: Sequence[str] | None = None,
    memory: float | None = None,
) -> np.ndarray:
    """The empirical neural tangent kernel `K = J J^T`, [R, R], of one network on probe trials.

    J = d outputs / d params has a row per output, in C order (trial, time, output), and is never
    stored whole: blocks of rows are computed in reverse mode and multiplied, and computed again for
    later blocks if J does not fit into `memory` (Jacot et al. 2018).

    Args:
        apply: `apply(params, inputs) -> outputs`, [B, ...] for trials [B, ...]. The outputs of a
            trial must depend on its own inputs alone: the function is called with one trial at a
            time. Pass the same function for every network, so that one compiled program serves all.
        params: parameters of the network, a tree of arrays.
        inputs: probe trials, the same before and after training.
        leaves: top-level names of the parameters to differentiate with respect to; all by default.
        memory: approximate memory of rows and residuals, bytes; `rnnjax.devices.batch_memory()`
            by default.

    Raises:
        ValueError: outputs that are not one array with an entry per trial, or unknown leaves.
        KernelError: a Jacobian, or products of its rows, with NaN or infinity.
    """
    if not callable(apply):
        raise ValueError(f"apply: expected a function, got {apply!r}")
    inputs = leaf("inputs", inputs)
    if not inputs.ndim:
        raise ValueError("inputs: expected trials along the first axis, got a number")
    chosen, fixed = _split(params, leaves)
    chosen = jax.tree.map(functools.partial(leaf, "params"), chosen)
    fixed = jax.tree.map(jnp.asarray, fixed)
    outputs = _outputs(apply, params, inputs)
    rows, entries = outputs.size, math.prod(outputs.shape[1:])
    size = min(batch_size(_bytes_per_row(apply, fixed, chosen, inputs), memory=memory), rows)

    def block(start: int) -> Array:
        index = padded_index(start, size, rows)
        return _jacobian(apply, entries, fixed, chosen, inputs, index)

    upper = np.zeros((rows, rows), outputs.dtype)
    with jax.default_matmul_precision("highest"):
        for a in range(0, rows, size):
            left = block(a)
            for b in range(a, rows, size):
                right = left if a == b else block(b)
                part = np.asarray(_products(left, right))
                upper[a : a + size, b : b + size] = part[: rows - a, : rows - b]
    if not np.isfinite(upper).all():
        raise KernelError("params: expected a finite Jacobian, got NaN or infinity")
    return np.triu(upper) + np.triu(upper, 1).T


def _norm(name: str, matrix: np.ndarray) -> float:
    """Frobenius norm, positive and finite."""
    norm = float(np.linalg.norm(matrix))
    if not 0 < norm < math.inf:
        raise KernelError(f"{name}: expected a finite norm above 0, got {norm}")
    return norm


def kernel_alignment(k0: object, k1: object) -> float:
    """`<K_0, K_1> / (|K_0|_F |K_1|_F)` of two kernels [R, R] (Cristianini et al. 2001).

    Raises:
        ValueError: matrices that are not square or of one shape, or with NaN or infinity.
        KernelError: matrices that are all 0.
    """
    first, second = (
        array(name, kernel, "R R", each=None).astype(np.float64, copy=False)
        for name, kernel in (("k0", k0), ("k1", k1))
    )
    if first.shape != second.shape:
        raise ValueError(f"k1: expected the shape of k0, {first.shape}, got {second.shape}")
    norms = [_norm("k0", first), _norm("k1", second)]
    return float(np.vdot(first / norms[0], second / norms[1]))


def representation_alignment(h0: object, h1: object) -> float:
    """Kernel alignment of the Gram matrices `H H^T` of two sets of states, without centering.

    Computed from `<H_0 H_0^T, H_1 H_1^T> = |H_0^T H_1|_F^2` unless there are fewer samples than
    units of either, so that the Gram matrices are those of samples or of units, of which there are
    fewer.

    Args:
        h0: states [samples, N_0], or trajectories [B, T, N_0] whose steps are the samples.
        h1: states [samples, N_1] for the same samples.

    Raises:
        ValueError: other shapes, different samples, or NaN or infinity.
        KernelError: states that are all 0.
    """
    shared = shared_samples({"h0": h0, "h1": h1})
    states = {name: np.asarray(h, np.float64) for name, h in shared.items()}
    x, y = (h / _norm(name, h) for name, h in states.items())
    if len(x) < max(x.shape[1], y.shape[1]):
        return kernel_alignment(x @ x.T, y @ y.T)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(x.T @ y) ** 2 / norms)


class WeightChange(NamedTuple):
    """Change of each leaf, by name."""

    norm: dict[str, Scalar]
    """`|W_T - W_0|_F`, which grows with the size of W."""
    per_parameter: dict[str, Scalar]
    """`|W_T - W_0|_F / P` for P entries of W."""


def _name_leaves(params: Any) -> dict[str, Any]:
    """Leaves by their path, such as `a.b`; a bare array is called `weights`."""
    paths = jax.tree_util.tree_leaves_with_path(params)
    named = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
    return {name or "weights": value for name, value in named.items()}


def _leaves(argument: str, params: Any) -> dict[str, Array]:
    """The checked leaves of `params` by name."""
    named = _name_leaves(params)
    if not named:
        raise ValueError(f"{argument}: expected at least one leaf, got none")
    return {name: leaf(f"{argument}, {name}", value) for name, value in named.items()}


def _change_norm(old: Array, new: Array) -> Scalar:
    """|W_T - W_0|; scaled by a power of two, which is exact, so that no square overflows."""
    change = new - old
    exponent = jnp.frexp(jnp.max(jnp.abs(change)))[1]
    return jnp.ldexp(jnp.sqrt(jnp.sum(jnp.square(jnp.ldexp(change, -exponent)))), exponent)


def weight_change(before: Any, after: Any) -> WeightChange:
    """Frobenius norm of the change of each leaf of one network, raw and per parameter.

    Raw parameters give the change of raw weights; pass `cell.connectivity(params)` for that of
    effective weights. Use `jax.vmap` for a population: there values are not checked, and a diverged
    network has NaN.

    Args:
        before: a tree of arrays, such as a dict of leaves, or one array.
        after: the same leaves after training.

    Raises:
        ValueError: different leaves, one of another shape, or NaN or infinity.
    """
    old, new = _leaves("before", before), _leaves("after", after)
    if old.keys() != new.keys():
        odd = sorted(old.keys() ^ new.keys())
        raise ValueError(f"after: expected the leaves of before, got {odd} in only one of them")
    for name, value in old.items():
        if value.shape != new[name].shape:
            raise ValueError(
                f"after: expected {name} of shape {value.shape}, got {new[name].shape}"
            )
    norm = {name: _change_norm(old[name], new[name]) for name in old}
    return WeightChange(norm, {name: norm[name] / old[name].size for name in old})
