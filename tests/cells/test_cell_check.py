"""`rnnjax.cells.check` finds every broken rule of the contract."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import cells
from rnnjax.cells import Cell
from rnnjax.cells.rate import Rate
from rnnjax.contract import agree
from rnnjax.parametrization import Leaf, LeafRule, Parametrization, Standard
from rnnjax.trajectory import rollout


def broken(base=Rate, **methods):
    """A rate network with other methods."""
    return dataclasses.dataclass(frozen=True)(type("Broken", (base,), methods))(hidden=4)


@dataclasses.dataclass(frozen=True)
class Nameless(Parametrization):
    """The standard rule without a name."""

    def rule(self, leaf, *, hidden, optimizer):
        return Standard().rule(leaf, hidden=hidden, optimizer=optimizer)


@dataclasses.dataclass(frozen=True)
class Training(Nameless):
    """A rule that trains what is fixed."""

    name = "training"

    def rule(self, leaf, *, hidden, optimizer):
        return LeafRule("normal", 1.0)


def with_leaf(cell):
    return {**Rate.leaves(cell), "idle": Leaf("bias", (4,), 4)}


BROKEN = {
    "state": (broken(step=lambda s, p, x, d: jnp.concatenate([x, x])), r"step: .* \(8,\)"),
    "type": (broken(step=lambda s, p, x, d: jnp.ones(4, int)), "step: .* int"),
    "readout": (broken(readout=lambda s, p, x, scale=1.0: x), r"readout: expected shape \(2,\)"),
    "update": (broken(step=lambda s, p, x, d: 0.5 * x + d), "step: expected update"),
    "nan": (broken(update=lambda s, x, c: jnp.log(-jnp.ones_like(c)) * c), "finite states"),
    "if": (
        broken(update=lambda s, x, c: jnp.tanh(c) if c.sum() > 0 else c), "jnp.where"
    ),
    "idle": (broken(leaves=with_leaf), "idle: expected a gradient"),
    "fixed": (
        broken(leaves=lambda s: {**Rate.leaves(s), "recurrent": Leaf("fixed", (4, 4), 4)},
               connectivity=lambda s, p: p["recurrent"]),
        "recurrent: expected no gradient",
    ),
    "np.random": (
        broken(init=lambda s, k: {n: jnp.asarray(np.random.normal(size=leaf.shape))
                                  for n, leaf in s.leaves().items()}),
        "init: .*np.random",
    ),
    "keyless": (
        broken(init=lambda s, k: Rate.init(s, jax.random.key(0))), "init: expected other weights"
    ),
    "shapes": (
        broken(init=lambda s, k: {**Rate.init(s, k), "input": jnp.ones((4, 1))}),
        "init: expected input of shape",
    ),
    "drive": (broken(drive=lambda s, p, x: x[0]), "drive: expected"),
    "rates": (broken(rates=lambda s, p, x, i, r: x[:, :1]), "rates: expected shape"),
    "trials": (
        broken(update=lambda s, r, c: jnp.tanh(c) / jnp.sqrt(1 + jnp.sum(r**2))),
        r"update: expected the same for a batch \[B, N\]",
    ),
    "name": (
        broken(leaves=lambda s: {f"{n}-0": leaf for n, leaf in Rate.leaves(s).items()}),
        "leaves: expected names that are identifiers, .* got 'recurrent-0'",
    ),
    "structure": (
        cells.structured(1, structure="antisymmetric"), "recurrent: .* 0 everywhere; .* more units"
    ),
    "no scale": (broken(readout=lambda s, p, x: p["readout"] @ x), "readout: .* got no scale"),
    "ignored scale": (
        broken(readout=lambda s, p, x, scale=1.0: p["readout"] @ x),
        "readout: expected scale, 1 by default, to multiply the output",
    ),
    "scaled state": (
        broken(readout=lambda s, p, x, scale=1.0: p["readout"] @ jnp.tanh(9 * scale * x)),
        "readout: expected scale",
    ),
    "other default": (
        broken(readout=lambda s, p, x, scale=2.0: scale * (p["readout"] @ x)),
        "readout: expected scale",
    ),
    "role": (
        broken(leaves=lambda s: {**Rate.leaves(s), "idle": Leaf("biases", (4,), 4)}),
        "leaves, role of idle: expected one of .* 'biases'",
    ),
    "trained fixed": (
        dataclasses.replace(
            broken(leaves=lambda s: {**Rate.leaves(s), "mask": Leaf("fixed", (4, 4), 4)}),
            parametrization=Training(),
        ),
        "parametrization: expected the rule FIXED for the role 'fixed' of mask",
    ),
    "nameless rule": (
        dataclasses.replace(Rate(4), parametrization=Nameless()),
        "parametrization: expected a string name .* Nameless",
    ),
    "several states": (
        broken(initial_state=lambda s, p: (jnp.zeros(4), jnp.zeros(4))),
        "initial_state: expected an array, got a tuple",
    ),
    "several drives": (
        broken(drive=lambda s, p, x: (x, x)), "drive: expected an array, got a tuple"
    ),
    "complex rates": (broken(rates=lambda s, p, x, i, r: x + 0j), "rates: .*real .* complex64"),
    "complex outputs": (
        broken(readout=lambda s, p, x, scale=1.0: scale * (p["readout"] @ x) + 0j),
        "readout: .*real .* complex64",
    ),
    "class": (Rate, r"an instance, such as Rate\(\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named(case):
    cell, message = BROKEN[case]
    with pytest.raises(ValueError, match=message):
        cells.check(cell)


@pytest.mark.slow
def test_a_kernel_other_than_its_steps_is_found():
    latent = cells.latent(1000)  # states of order 1/sqrt(N)

    class Wrong(type(latent)):
        def unroll(self, params, inputs, initial):
            return 1.01 * super().unroll(params, inputs, initial)

    kind = dataclasses.dataclass(frozen=True)(Wrong)
    fields = {f.name: getattr(latent, f.name) for f in dataclasses.fields(latent)}
    with pytest.raises(ValueError, match="unroll: expected the states that step computes"):
        cells.check(kind(**fields))


@pytest.mark.slow
def test_a_cell_too_large_for_its_matrix_is_checked():
    assert "latent: N = 20001" in cells.check(cells.latent(20_001))


def test_values_far_below_one_are_compared_too():
    x = np.array([1e-6, 2e-6])
    assert agree(x, x * 1.0005)
    assert not agree(x, x * 1.01)
    assert agree({"a": x + 1j, "b": np.nan}, {"a": x + 1j, "b": np.nan})
    assert not agree(x + 1e-6j, x)
    assert agree(np.zeros(2), np.full(2, 1e-40)) and not agree(np.zeros(2), x)


def test_rollout_names_a_state_of_several_arrays():
    cell, _ = BROKEN["several states"]
    with pytest.raises(ValueError, match="^initial_state: expected an array, got a tuple"):
        rollout(cell, cell.init(0), jnp.ones((2, 3, cell.inputs)))


def test_scale_may_be_given_by_keyword_alone():
    cell = broken(readout=lambda s, p, x, *, scale=1.0: Rate.readout(s, p, x, scale))
    assert "structured: N = 4" in cells.check(cells.structured(cell=cell))


def test_a_good_cell_is_summed_up():
    summary = cells.check(cells.rate(4))
    assert "rate: N = 4" in summary and "a connectivity matrix" in summary
    assert isinstance(cells.rate(4), Cell)
