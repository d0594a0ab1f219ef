"""One layer of causal linear attention as a recurrent network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from rnnjax.cells.base import LayeredCell, ParallelCell
from rnnjax.cells.dense import chosen_rule
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, Params
from rnnjax.validate import fraction, instance_of, positive_integer

__all__ = ["LinearAttention", "linear_attention"]

_LEAST = 1e-6
"""Added to z^T f(q), which can round to 0."""

_CHUNK = 32
"""Time steps of which all pairs are compared at once."""


def _positive(x: Array) -> Array:
    """f(x) = elu(x) + 1, without the rounding of the sum at negative x."""
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.minimum(x, 0)))


@dataclasses.dataclass(frozen=True)
class LinearAttention(LayeredCell, ParallelCell):
    """S' = d S + f(k) v^T, z' = d z + f(k), o = S^T f(q) / (z^T f(q) + 1e-6), r = e + W_o o.

    S, z and o are those of each head, e = tanh(W_in u + b), q, k, v = W_q e, W_k e, W_v e,
    f(x) = elu(x) + 1, d the decay. The state [N (A + 3)] is e, o, z [N] and S [N A], with heads of
    size A. See `linear_attention`.
    """

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    head: int = 8
    decay: float = 1.0
    parametrization: Parametrization = Standard("xavier")

    name = "linear_attention"

    def __post_init__(self):
        super().__post_init__()
        for name in ("hidden", "inputs", "outputs", "head"):
            positive_integer(name, getattr(self, name))
        if self.hidden % self.head:
            raise ValueError(
                f"hidden: expected a multiple of head = {self.head}, got {self.hidden}"
            )
        fraction("decay", self.decay, open_below=True)
        instance_of("parametrization", self.parametrization, Parametrization)

    def leaves(self) -> dict[str, Leaf]:
        """W_in [N, I], b [N]; W_q, W_k, W_v, W_o [N, N]; the readout [O, N] and its bias [O]."""
        n, i, o = self.hidden, self.inputs, self.outputs
        square = Leaf("recurrent", (n, n), n)
        return {
            "input": Leaf("input", (n, i), i),
            "bias": Leaf("bias", (n,), i),
            "query": square,
            "key": square,
            "value": square,
            "mixing": square,
            "readout": Leaf("readout", (o, n), n),
            "readout_bias": Leaf("readout_bias", (o,), n),
        }

    @property
    def products(self) -> int:
        """N (4N + I + O), and 2 A per unit for the memory."""
        return self.hidden * (4 * self.hidden + self.inputs + self.outputs + 2 * self.head)

    @property
    def kept(self) -> int:
        """Embeddings, queries, keys, values, o and pairs of times, with their cotangents."""
        return (22 + 4 * _CHUNK // self.head) * self.hidden

    @property
    def visited(self) -> int:
        """The same without cotangents."""
        return (8 + self.head) * self.hidden

    def initial_state(self, params: Params) -> Array:
        """An empty memory."""
        return jnp.zeros((self.head + 3) * self.hidden, params["readout"].dtype)

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Float[Array, "T D"]:
        """e, f(q), f(k) and v, for all times at once."""
        current = inputs @ self.effective(params, "input").T
        embedded = jnp.tanh(current + self.effective(params, "bias")[None])
        query, key, value = (
            embedded @ self.effective(params, name).T for name in ("query", "key", "value")
        )
        return jnp.concatenate([embedded, _positive(query), _positive(key), value], axis=-1)

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state, by element-wise operations on the memory."""
        embedded, *projected = jnp.split(drive, 4)
        query, key, value = (part.reshape(-1, self.head) for part in projected)
        total, memory = jnp.split(state[2 * self.hidden :], (self.hidden,))
        total = self.decay * total.reshape(-1, self.head) + key
        memory = self.decay * memory.reshape(-1, self.head, self.head)
        memory += key[:, :, None] * value[:, None, :]
        read = (query[:, :, None] * memory).sum(1) / ((query * total).sum(1)[:, None] + _LEAST)
        return jnp.concatenate([embedded, read.ravel(), total.ravel(), memory.ravel()])

    def read(self, drive: Float[Array, "T B D"], initial: Array) -> Array:
        """e and o after every step, [T, B, 2 N], by chunks of C steps.

        With the memory M = (S, z) before a chunk, numerator and denominator of o after its step t
        are  sum_{s <= t} d^(t - s) (f(q_t) . f(k_s)) (v_s, 1) + d^(t + 1) M^T f(q_t).
        """
        steps, (embedded, *parts) = len(drive), jnp.split(drive, 4, axis=-1)
        chunk = min(_CHUNK, steps)
        # Steps after the last have keys of 0.
        query, key, value = (
            rearrange(
                jnp.pad(part, ((0, -steps % chunk), (0, 0), (0, 0))),
                "(c s) b (h d) -> c b h s d", s=chunk, d=self.head,
            )
            for part in parts
        )  # fmt: skip
        value = jnp.concatenate([value, jnp.ones_like(value[..., :1])], axis=-1)
        time = np.arange(chunk)
        faded = jnp.asarray(self.decay ** np.arange(chunk + 1.0), drive.dtype)
        gap = time[:, None] - time[None, :]
        fade = jnp.where(gap >= 0, faded[np.maximum(gap, 0)], 0)
        scores = jnp.einsum("cbhtd,cbhsd->cbhts", query, key) * fade[None, None, None]
        read = jnp.einsum("cbhts,cbhse->cbhte", scores, value)
        late = key * faded[chunk - 1 - time][None, None, None, :, None]
        memory = self._memories(jnp.einsum("cbhsd,cbhse->cbhde", late, value), initial, chunk)
        early = query * faded[time + 1][None, None, None, :, None]
        read += jnp.einsum("cbhtd,cbhde->cbhte", early, memory)
        read = read[..., :-1] / (read[..., -1:] + _LEAST)
        return jnp.concatenate(
            [embedded, rearrange(read, "c b h s d -> (c s) b (h d)")[:steps]], axis=-1
        )

    def _memories(self, sums: Array, initial: Array, chunk: int) -> Array:
        """(S, z) of every head before each chunk, [C, B, H, A, A + 1], from what each adds."""
        total, memory = jnp.split(initial[:, 2 * self.hidden :], (self.hidden,), axis=-1)
        heads = {"d": self.head, "e": self.head}
        first = jnp.concatenate(
            [
                rearrange(memory, "b (h d e) -> b h d e", **heads),
                rearrange(total, "b (h d) -> b h d 1", d=self.head),
            ],
            axis=-1,
        )

        def advance(before: Array, added: Array) -> tuple[Array, Array]:
            return self.decay**chunk * before + added, before

        return jax.lax.scan(advance, first, sums)[1] if len(sums) > 1 else first[None]

    def activity(self, params: Params, states: Array) -> Float[Array, "... N"]:
        """r = e + W_o o."""
        embedded, read, _ = jnp.split(states, (self.hidden, 2 * self.hidden), axis=-1)
        return embedded + read @ self.effective(params, "mixing").T


def linear_attention(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    head: int = 8,
    decay: float = 1.0,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> LinearAttention:
    """One layer of causal linear attention (Katharopoulos et al. 2020), with a residual path.

    Every head holds a matrix S of fixed size; the number of heads grows with N. A step forms no
    product of order N^2: those of the embedding, the heads and the readout take all times at once.
    Outputs are computed without S between the steps, from all pairs of times within chunks.

    Args:
        hidden: number of units, N, a multiple of `head`.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        head: size of a head, A.
        decay: factor on the memory at every step, in (0, 1]; 1 is linear attention; with less it
            fades, as in retention (Sun et al. 2023).
        init: initialization of the standard rule: `xavier` (default), `gaussian` or `uniform`.
        parametrization: another width rule, in place of the standard one.

    Raises:
        ValueError: sizes below 1, a width that is no multiple of `head`, a `decay` outside (0, 1],
            an unknown `init`, or both `init` and `parametrization`.
    """
    rule = chosen_rule(init, parametrization, "xavier")
    return LinearAttention(hidden, inputs, outputs, head, decay, rule)
