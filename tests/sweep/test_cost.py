"""The memory model against the memory that XLA plans, and the blocks that follow from it."""

import dataclasses
import re

import pytest

import rnnjax
import tiny
from rnnjax.cells import fitted
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import LossRecord, MemoryStore, compute, cost, plan, sizing, solo
from rnnjax.sweep.ahead import ProgramKey, trace_programs
from rnnjax.sweep.engine import Engine
from rnnjax.training import Setup

TASK = rnnjax.tasks.delayed_cue()


def setup(hidden, optimizer="adam", trials=50):
    cell = fitted(rnnjax.cells.rate(hidden), TASK)
    return Setup(TASK, cell, rnnjax.Recipe(optimizer), trials)


def layout(map_width, devices=1):
    return Layout(default_layout().devices[:devices], map_width)


def peak(what, where, runs):
    """Bytes on all devices that XLA plans for the largest of a block's programs."""
    largest = 0
    with where.context():
        for (name, *_), traced in trace_programs(ProgramKey(what, where, where.padded(runs), 3)):
            if name in ("init", "start"):
                continue
            analysis = traced.lower().compile().memory_analysis()
            if analysis is None:
                pytest.skip("this backend does not report the memory of programs")
            taken = (
                analysis.argument_size_in_bytes
                + analysis.output_size_in_bytes
                + analysis.temp_size_in_bytes
                - analysis.alias_size_in_bytes
            )
            largest = max(largest, len(where.devices) * taken)
    return largest


UNTIL = rnnjax.Recipe.until(0.1, steps_per_epoch=2, batch=16, validation_trials=64)
CASES = {
    "rate": (rnnjax.cells.rate(64), rnnjax.Recipe("sgd"), 50, 8, None),
    "rate in a long evaluation": (rnnjax.cells.rate(32), rnnjax.Recipe("adam"), 400, 4, None),
    "latent": (rnnjax.cells.latent(20_000, rank=2), rnnjax.Recipe("adam"), 50, 6, 1),
    "population with epochs": (rnnjax.cells.rate(64), UNTIL, 50, 8, 1),
    "gated": (rnnjax.cells.gru(48), rnnjax.Recipe("adam"), 50, 6, 1),
    "linear": (rnnjax.cells.linear_recurrence(96), rnnjax.Recipe("adam"), 50, 6, 1),
    "attention": (rnnjax.cells.linear_attention(96), rnnjax.Recipe("adam"), 50, 6, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_memory_model_is_right_within_a_factor(case):
    cell, recipe, trials, runs, width = CASES[case]
    what, where = Setup(TASK, fitted(cell, TASK), recipe, trials), layout(width, 2)
    taken = peak(what, where, runs)
    assert taken / 1.5 < cost.block_bytes(what, runs, where) < 1.5 * taken


HUGE = rnnjax.cells.rate(10**7)  # 400 TB of weights
WIDE = tiny.sweep("delayed_match", {"hidden": (4, 10**7), "learning_rate": (0.1,)})


@pytest.mark.parametrize(
    "train",
    [
        lambda: rnnjax.train_one(TASK, HUGE, learning_rate=0.1),
        lambda: rnnjax.train_population(TASK, HUGE, rnnjax.Recipe(), seeds=2, learning_rate=0.1),
        lambda: rnnjax.run_sweep(WIDE),
    ],
    ids=["train_one", "train_population", "run_sweep"],
)
def test_networks_that_cannot_fit_are_refused_before_the_start(train, monkeypatch):
    def started(*_, **__):
        pytest.fail("a block was started")

    monkeypatch.setattr(compute, "train_block", started)
    monkeypatch.setattr(solo, "train_block", started)
    with pytest.raises(ValueError, match=r"^hidden: .*\b10000000 units") as error:
        train()
    needed, free = (
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) bytes", str(error.value))
    )
    assert needed > 4e14 > free > 0


def test_the_limit_is_the_free_memory(monkeypatch):
    what, where = setup(64), layout(1)
    needed = cost.block_bytes(what, 1, where)
    monkeypatch.setattr(cost, "memory_budget", lambda *_: needed)
    cost.require_memory(what, where)
    monkeypatch.setattr(cost, "memory_budget", lambda *_: needed - 1)
    with pytest.raises(ValueError, match="^batch: expected"):
        cost.require_memory(what, where)


def test_the_error_names_the_setting_that_takes_most(monkeypatch):
    monkeypatch.setattr(cost, "memory_budget", lambda *_: 0)
    sizes = {"batch": 49, "evaluation_trials": 48, "validation_trials": 47, "epochs": 3}
    for name, many in (("hidden", 3000), *((name, 10**6) for name in sizes)):
        given = {**sizes, name: many}
        evaluated = given.pop("evaluation_trials")
        cell = fitted(rnnjax.cells.rate(given.pop("hidden", 8)), TASK)
        recipe = rnnjax.Recipe.until(0.1, steps_per_epoch=2, **given)
        with pytest.raises(ValueError, match=f"^{name}: expected networks that fit") as error:
            cost.require_memory(Setup(TASK, cell, recipe, evaluated), layout(1))
        numbers = {int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", str(error.value))}
        assert {cell.hidden, TASK.steps, recipe.batch, recipe.validation_trials, evaluated,
                recipe.steps} <= numbers  # fmt: skip


def test_a_refused_call_claims_no_store(tmp_path):
    memory = MemoryStore()
    for store in (tmp_path / "new", memory):
        with pytest.raises(ValueError, match="^hidden: "):
            rnnjax.run_sweep(WIDE, store)
    assert not (tmp_path / "new").exists()
    with pytest.raises(rnnjax.StoreError, match="got an empty one"):
        memory.read()
    memory.open(tiny.sweep("flip_flop"), LossRecord())  # another sweep


def test_flops_equal_the_formula():
    assert cost.step_flops(setup(64)) == 6 * 50 * 36 * 64 * (64 + 2 + 2)


def test_best_weights_and_validation_are_counted():
    wide, plain = layout(None), setup(64)
    validated = dataclasses.replace(plain, recipe=rnnjax.Recipe.until(0.1, batch=50))
    more = cost.block_bytes(validated, 8, wide) - cost.block_bytes(plain, 8, wide)
    judging = dataclasses.replace(plain, evaluation_trials=256)
    extra = cost.block_bytes(judging, 8, wide) - cost.block_bytes(plain, 8, wide)
    losses = 8 * 4 * (validated.recipe.steps - plain.recipe.steps)
    assert more == extra + 8 * 4 * 64 * (64 + 2 + 2) + losses


def test_weights_and_states_that_a_store_keeps_are_counted(monkeypatch):
    wide, what = layout(None), setup(64)
    plain, recipe = cost.block_bytes(what, 8, wide), what.recipe
    for keeps, copies in (((True, False), 2), ((False, True), 3), ((True, True), 5)):
        kept = cost.kept_copies(recipe, *keeps)
        assert cost.block_bytes(what, 8, wide, kept) - plain == copies * 8 * 4 * 64 * (64 + 2 + 2)
    sweep = tiny.sweep(axes={"hidden": (300,), "seed": range(50)})
    budget = cost.block_bytes(next(sweep.setups())[1], 100, wide)
    monkeypatch.setattr(cost, "memory_budget", lambda *_: budget)
    blocks = [len(plan(sweep, wide, Engine(), None, keep)) for keep in (False, True)]
    assert blocks[0] == 1 < blocks[1]


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


@pytest.mark.parametrize(("hidden", "runs"), [(4, 2000), (64, 200)])
def test_a_segment_takes_about_two_seconds(hidden, runs):
    """Small networks too, in which the time of a step is not that of its products."""
    what, where = setup(hidden), layout(1, 2)
    step = cost.step_seconds(what, runs, where, cost.nominal_machine(where))
    assert 1.5 < step * sizing.segment_steps(what, runs, where) <= 2
    assert sizing.segment_steps(what, 100 * runs, where) == 1
    assert sizing.segment_steps(what, 1, where) == 100


def test_the_machine_is_measured():
    machine = cost.measure_machine(default_layout(), size=64)
    assert machine.flops > 1e6
    few, many = (cost.step_seconds(setup(64), runs, layout(1), machine) for runs in (4, 8))
    assert many == pytest.approx(2 * few)
