"""`rnnjax.tasks.check` finds every broken rule of the contract, and passes tasks that keep it."""

import dataclasses
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tiny
from rnnjax import contract, tasks
from rnnjax.tasks import Task, Trial


@dataclasses.dataclass(frozen=True)
class Good(Task):
    """A cue, and its sign at the last step."""

    length: int = 4
    noise: float = 0.0
    name = "good"
    inputs = outputs = 1

    @property
    def steps(self):
        return self.length

    def draw(self, key):
        return jax.random.normal(key, (self.steps, 1))

    def sample(self, key):
        inputs = self.draw(key)
        last = jnp.arange(self.steps)[:, None] == self.steps - 1
        return Trial(inputs, jnp.sign(inputs[:1]) * jnp.ones_like(inputs), last.astype(float))

    def stretched(self, factor):
        return dataclasses.replace(self, length=int(self.length * factor))


def broken(**methods):
    """The task with other methods."""
    return dataclasses.dataclass(frozen=True)(type("Broken", (Good,), methods))()


FROZEN = np.random.default_rng(0).normal(size=(4, 1))

BROKEN = {
    "np.random": (broken(draw=lambda s, k: np.random.normal(size=(4, 1))), "np.random"),
    "beside the key": (
        broken(draw=lambda s, k: jax.random.normal(k, (4, 1)) + 0 * np.random.normal()),
        "np.random",
    ),
    "random": (
        broken(draw=lambda s, k: jax.random.normal(k, (4, 1)) * random.random()), "Python's random"
    ),
    "a generator": (
        broken(draw=lambda s, k: np.random.default_rng().normal(size=(4, 1))), "the same key"
    ),
    "constant": (broken(draw=lambda s, k: jnp.asarray(FROZEN)), "other keys"),
    "if": (
        broken(draw=lambda s, k: jnp.full((4, 1), 1.0 if jax.random.bernoulli(k) else -1.0)),
        "jnp.where",
    ),
    "shape": (broken(draw=lambda s, k: jax.random.normal(k, (5, 1))), r"inputs: .*\(4, 1\)"),
    "no trial": (broken(sample=lambda s, k: (1, 2, 3)), "Trial"),
    "nan": (broken(draw=lambda s, k: jnp.log(jax.random.normal(k, (4, 1)))), "inputs: .*NaN"),
    "complex": (
        broken(draw=lambda s, k: jax.random.normal(k, (4, 1)) + 1j), "inputs: .*real .* complex64"
    ),
    "lists": (
        broken(sample=lambda s, k: Good.sample(s, k)._replace(inputs=[[0.0]] * 4)),
        "inputs: expected an array of real numbers, .* a list",
    ),
    "text": (
        broken(sample=lambda s, k: Good.sample(s, k)._replace(targets="abc")),
        "targets: expected an array of real numbers, .* a str",
    ),
    "mask": (
        broken(sample=lambda s, k: Good.sample(s, k)._replace(mask=jnp.full((4, 1), 0.5))),
        "mask: expected 0 or 1, got 0.5",
    ),
    "silent": (
        broken(sample=lambda s, k: Good.sample(s, k)._replace(mask=jnp.zeros((4, 1)))),
        "mask: expected 1 in the response period .* 64 of 64",
    ),
    "stretched": (broken(stretched=lambda s, f: tiny.TASKS["flip_flop"]), "stretched: .* 1 inputs"),
    "shorter": (broken(stretched=lambda s, f: Good(2)), "stretched: .* at least 4"),
    "channels": (broken(inputs=0), "inputs: expected an integer of at least 1"),
    "one output": (
        broken(decision="argmax"), "decision: expected at least 2 outputs for 'argmax', got 1"
    ),
    "tied": (
        broken(
            decision="argmax", outputs=2,
            sample=lambda s, k: Trial(s.draw(k), jnp.eye(2)[jnp.array([0, 1, 0, 1])]
                                      .at[3].set(1.0), jnp.ones((4, 2))),
        ),
        "targets: expected one largest channel .* 64 of 256",
    ),
    "no choice": (
        broken(sample=lambda s, k: Good.sample(s, k)._replace(mask=jnp.ones((4, 1)),
               targets=jnp.array([[0.0], [0.0], [1.0], [-1.0]]))),
        "targets: expected a positive or negative number .* got 0 at 128 of 256",
    ),
    "decision": (broken(decision="largest"), "decision: expected one of argmax, sign"),
    "criterion": (broken(criterion=1.0), r"criterion: expected a number in \[0, 1\)"),
    "nameless": (broken(name=3), "name: expected a string"),
    "class": (Good, r"an instance, such as Good\(\)"),
    "mutable": (dataclasses.dataclass(type("Loose", (Task,), dict(vars(Good))))(), "frozen"),
    "an array": (dataclasses.replace(Good(), noise=[1.0]), "in noise, got a list"),
    "a function": (dataclasses.replace(Good(), noise=lambda x: x), "in noise, got a function"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named_and_global_generators_are_left_alone(case):
    task, message = BROKEN[case]
    np.random.seed(3)
    random.seed(3)
    before = np.random.get_state(legacy=False)["state"]["pos"], random.getstate()
    with pytest.raises(ValueError, match=message):
        tasks.check(task)
    assert (np.random.get_state(legacy=False)["state"]["pos"], random.getstate()) == before


def test_the_global_generator_of_numpy_may_be_of_another_kind():
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(0))
    try:
        before = np.random.get_state(legacy=False)
        assert contract.reproduced("sample", lambda key: np.float64(key), 2) == 2
        with pytest.raises(ValueError, match="^sample: .* got draws from np.random"):
            contract.reproduced("sample", lambda key: np.random.normal(), 2)
        assert np.random.get_state(legacy=False) == before
    finally:
        np.random.set_bit_generator(usual)


def test_rounding_in_place_of_zero_is_no_other_trial():
    def other_when_compiled(size):
        def sample(task, key):
            rounding = size if isinstance(key, jax.core.Tracer) else 0.0
            return Good.sample(task, key)._replace(targets=jnp.full((task.steps, 1), rounding))

        return broken(sample=sample)

    assert "good" in tasks.check(other_when_compiled(1e-8), trials=4)
    with pytest.raises(ValueError, match="same trial eagerly and compiled"):
        tasks.check(other_when_compiled(1e-4), trials=4)


def test_a_good_task_is_summed_up():
    summary = tasks.check(Good(), trials=16)
    assert "good: 4 steps, 1 input, 1 output;" in summary and "25%" in summary
    assert "stretched by 2: 8 steps" in summary
    assert "no stretched variant" in tasks.check(broken(stretched=Task.stretched))
    assert "3 inputs" in tasks.check(tasks.flip_flop(bits=np.int64(3), steps=5), trials=16)
    assert "not stretched by 2" in tasks.check(tasks.delayed_cue(delay=0), trials=16)
    assert "stretched by 0.5: 2 steps" in tasks.check(Good(), trials=16, stretch=0.5)
    with pytest.raises(ValueError, match="^stretch: expected a finite number above 0"):
        tasks.check(Good(), trials=16, stretch=0)
