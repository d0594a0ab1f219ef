"""The memory model against the memory that XLA plans, and the blocks that follow from it."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import rnnjax
import tiny
from rnnjax.cells import fitted
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import cost, plan, programs
from rnnjax.sweep.engine import Engine
from rnnjax.training import Hyper, Setup

TASK = rnnjax.tasks.delayed_cue()


def setup(hidden, optimizer="adam", trials=50):
    cell = fitted(rnnjax.cells.rate(hidden), TASK)
    return Setup(TASK, cell, rnnjax.Recipe(optimizer), trials)


def layout(map_width, devices=1):
    return Layout(default_layout().devices[:devices], map_width)


def peak(program, *arguments):
    """Bytes per device that XLA plans for a program."""
    analysis = program.lower(*arguments).compile().memory_analysis()
    if analysis is None:
        pytest.skip("this backend does not report the memory of programs")
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )


def block_shapes(what, runs, layout):
    """The block before its first step, as shapes."""

    def placed(tree):
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout.sharding()), tree
        )

    column = jax.ShapeDtypeStruct((runs,), jnp.int32)
    number = jax.ShapeDtypeStruct((runs,), jnp.float32)
    hyper = Hyper(number, column, number, number, number)
    params = jax.eval_shape(lambda s: programs.init_block(what.cell, layout, s), column)
    real = jax.ShapeDtypeStruct((runs,), bool)
    state = jax.eval_shape(lambda h, p, r: programs.start_block(what, layout, h, p, r),
                           hyper, params, real)  # fmt: skip
    return placed(state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "runs", "map_width", "optimizer", "devices"),
    [(64, 8, None, "sgd", 1), (16, 64, 1, "adam", 2)],
)
def test_the_memory_model_is_right_within_a_factor(hidden, runs, map_width, optimizer, devices):
    what, where = setup(hidden, optimizer), layout(map_width, devices)
    state = block_shapes(what, runs, where)
    taken = devices * peak(programs.advance_block, what, where, state, 5)
    assert taken / 2.5 < cost.block_bytes(what, runs, where) < 2.5 * taken


@pytest.mark.slow
def test_a_large_evaluation_is_counted_too():
    what, where = setup(32, trials=400), layout(None)
    state = block_shapes(what, 4, where)
    taken = peak(
        programs.evaluate_block, what.evaluation, where, state.hyper, state.params, state.status
    )
    assert taken / 2.5 < cost.block_bytes(what, 4, where) < 2.5 * taken


def test_flops_equal_the_formula():
    assert cost.step_flops(setup(64)) == 6 * 50 * 36 * 64 * (64 + 2 + 2)


def test_best_weights_and_validation_are_counted():
    wide, plain = layout(None), setup(64)
    validated = dataclasses.replace(plain, recipe=rnnjax.Recipe.until(0.1, batch=50))
    more = cost.block_bytes(validated, 8, wide) - cost.block_bytes(plain, 8, wide)
    judging = dataclasses.replace(plain, evaluation_trials=256)
    extra = cost.block_bytes(judging, 8, wide) - cost.block_bytes(plain, 8, wide)
    assert more == extra + 8 * 4 * 64 * (64 + 2 + 2)


def test_memory_grows_with_sizes():
    wide = layout(None)
    small, more = cost.block_bytes(setup(64), 4, wide), cost.block_bytes(setup(64), 8, wide)
    assert more == 2 * small
    assert cost.block_bytes(setup(64), 8, layout(1)) < more  # one at a time
    moments = cost.block_bytes(setup(64), 8, wide) - cost.block_bytes(setup(64, "sgd"), 8, wide)
    assert moments == 2 * 8 * 4 * 64 * (64 + 2 + 2)


@pytest.mark.parametrize("map_width", [None, 1])
@pytest.mark.parametrize("runs", [1, 7, 50])
def test_blocks_fit_the_budget_and_are_even(map_width, runs):
    what, where = setup(32), layout(map_width)
    for budget in (0, 10**6, 3 * 10**6, 10**7, 10**12):
        fits = cost.runs_that_fit(what, runs, where, budget)
        assert 1 <= fits <= runs
        assert fits == 1 or cost.block_bytes(what, fits, where) <= budget
        blocks = -(-runs // fits)
        assert blocks * fits - runs < blocks  # no block is more than one run short
    assert cost.runs_that_fit(what, runs, where, 10**12) == runs


def test_a_plan_covers_every_run_once(monkeypatch):
    monkeypatch.setattr(cost, "memory_budget", lambda *_: 2 * 10**6)
    sweep = tiny.sweep(axes={"hidden": (4, 300), "learning_rate": (0.1, 0.2, 0.3), "seed": (5, 6)})
    blocks = plan(sweep, layout(None, 2), Engine())
    seen = [tuple(cell) for block in blocks for cell in block.cells]
    assert sorted(seen) == [(h, r, s) for h in range(2) for r in range(3) for s in range(2)]
    assert len(blocks) > 2  # the wide network had to be split
    assert len({block.name for block in blocks}) == len(blocks)
    for block in blocks:
        assert block.size >= block.runs
        hyper = block.hyper
        for (h, r, s), rate, seed in zip(block.cells, hyper.learning_rate, hyper.seed, strict=True):
            assert block.setup.cell.hidden == (4, 300)[h]
            assert (rate, seed) == ((0.1, 0.2, 0.3)[r], (5, 6)[s])


def test_the_machine_is_measured():
    machine = cost.measure_machine(default_layout(), size=64)
    assert machine.flops > 1e6
    few, many = (cost.step_seconds(setup(64), runs, layout(1), machine) for runs in (4, 8))
    assert many == pytest.approx(2 * few)
