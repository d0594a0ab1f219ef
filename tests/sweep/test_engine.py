"""The engine changes how runs are computed, and not their results."""

import contextlib
import functools
import itertools
import re
import time
import types
import warnings
import weakref

import chex
import jax
import numpy as np
import pytest

import rnnjax
import tiny
from alike import CHECKED, identical
from rnnjax import Engine, Status, run_sweep, stopping, train_one
from rnnjax.sweep import (
    FIELDS,
    Layout,
    MemoryStore,
    block,
    compute,
    cost,
    default_layout,
    engine,
    plan,
    sizing,
)
from rnnjax.training import Setup

RATES, SEEDS = (0.003, 0.03, 0.1, 0.3), (0, 1, 2)


@functools.cache
def results(task="delayed_match", optimizer="sgd", how=None, rates=RATES, seeds=SEEDS, **options):
    sweep = tiny.sweep(
        task, {"learning_rate": rates, "seed": seeds}, optimizer=optimizer, **options
    )
    return run_sweep(sweep, engine=how)


def solo(task, optimizer, learning_rate, seed, **options):
    recipe = tiny.recipe(optimizer, **options)
    return train_one(
        tiny.TASKS[task], tiny.CELLS.get(task, tiny.CELL), recipe,
        learning_rate=learning_rate, seed=seed, evaluation_trials=tiny.TRIALS,
    )  # fmt: skip


def equals_solo(dataset, task, optimizer, learning_rate, seed, **options):
    alone = solo(task, optimizer, learning_rate, seed, **options)
    cell = dataset.sel(learning_rate=learning_rate, seed=seed)
    assert {name: cell[name].item() for name in alone.results} == pytest.approx(
        alone.results, rel=0, abs=0, nan_ok=True
    )
    np.testing.assert_array_equal(cell["loss"].values, alone.losses)
    assert Status(int(cell["status"])) == alone.status


@pytest.mark.slow
@pytest.mark.parametrize(("task", "optimizer"), [("delayed_match", "sgd"), ("flip_flop", "adam")])
def test_a_run_of_a_grid_equals_that_of_train_one(task, optimizer):
    dataset = results(task, optimizer)
    for learning_rate, seed in [(0.3, 2), (0.03, 0)]:
        equals_solo(dataset, task, optimizer, learning_rate, seed)
    assert dataset["loss"].notnull().all()
    finals = dataset["final_loss"].values
    assert len(np.unique(finals)) == finals.size  # no two runs are the same


@pytest.mark.slow
@pytest.mark.parametrize(("task", "optimizer"), [("flip_flop", "adam"), ("delayed_match", "sgd")])
def test_a_run_is_the_same_in_every_grid(task, optimizer):
    other = results(task, optimizer, rates=(0.5, 0.03, 0.7, 0.6), seeds=(7, 1, 4))
    shared = {"learning_rate": [0.03], "seed": [1]}
    identical(results(task, optimizer).sel(shared), other.sel(shared))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"block_runs": 3}, {"segment": 7}, {"devices": 1, "block_runs": 2}], ids=str
)
def test_blocks_segments_and_devices_do_not_change_results(how):
    identical(results(how=Engine(**how)), results())


@pytest.mark.slow
def test_two_runs_that_share_two_devices_with_padding_are_those_of_a_grid():
    whole = results(rates=RATES, seeds=SEEDS[:2])
    few = results(rates=RATES[:1], seeds=SEEDS[:2])
    assert default_layout().padded(2) == 4
    identical(few, whole.isel(learning_rate=slice(1)))


@pytest.mark.slow
def test_one_diverging_run_changes_no_other():
    how = Engine(compact=False)
    others = {"learning_rate": slice(None, 3)}
    calm = run_sweep(tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS}),
                     engine=how)  # fmt: skip
    wild = run_sweep(
        tiny.sweep("delayed_match", {"learning_rate": (*RATES[:3], 1e30), "seed": SEEDS}),
        engine=how,
    )
    identical(calm.isel(others), wild.isel(others))
    lost = wild.isel(learning_rate=3)
    assert np.all(lost["status"] == Status.DIVERGED)
    assert np.all(np.isnan(lost["final_loss"]))
    assert np.all(lost["accuracy_decision"] == 0)
    assert np.all(lost["steps_taken"] < tiny.STEPS)
    assert np.all(wild.isel(others)["status"] == Status.EXHAUSTED)


@pytest.mark.slow
def test_compaction_changes_nothing(monkeypatch):
    """Ten of twelve runs diverge at once: a block of 12 continues as one of 4."""
    sizes, sweep = tiny.block_sizes(monkeypatch), tiny.mostly_diverging()
    whole = run_sweep(sweep, engine=Engine(compact=False, segment=7))
    assert set(sizes) == {12}
    sizes.clear()
    compacted = run_sweep(sweep, engine=Engine(compact=True, segment=7))
    assert sizes == [12, 4, 4]
    identical(compacted, whole)
    monkeypatch.setattr(Layout, "is_host", property(lambda _: False))  # runs stay on the devices
    identical(run_sweep(sweep, engine=Engine(compact=True, segment=7)), whole)
    assert np.all(compacted["status"].isel(learning_rate=0) == Status.EXHAUSTED)
    assert np.all(compacted["status"].isel(learning_rate=slice(1, None)) == Status.DIVERGED)


@pytest.mark.parametrize(("platform", "share"), [("gpu", 3), ("cpu", 1)])
def test_rates_of_accelerators_add_up_and_those_of_cores_do_not(platform, share):
    def machine(count):
        device = types.SimpleNamespace(platform=platform)
        return cost.nominal_machine(Layout((device,) * count, None))

    assert machine(3).flops == share * machine(1).flops
    assert machine(3).step_overhead == machine(1).step_overhead


def test_blocks_shrink_where_a_step_would_take_half_the_time():
    def rule(hidden, width, compact=None):
        task = tiny.TASKS["delayed_match"]
        cell = rnnjax.cells.rate(hidden, inputs=task.inputs, outputs=task.outputs)
        setup = Setup(task, cell, tiny.recipe("adam"), tiny.TRIALS)
        return sizing.shrinking_rule(setup, default_layout(map_width=width), compact)

    assert not rule(512, 1)(64, 2)  # stopped runs cost nothing at map width 1
    assert rule(512, "all")(64, 16)
    assert not rule(4, "all")(8, 2)  # the overhead of a time step dominates
    assert rule(4, "all", compact=True)(8, 2)
    assert not rule(512, "all", compact=False)(64, 16)


@pytest.mark.slow
def test_runs_outside_the_mask_stay_pending():
    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    mask = np.zeros(sweep.shape, bool)
    mask[1, 2] = mask[3, 0] = mask[0, 0] = True
    dataset = run_sweep(sweep, mask=mask)
    np.testing.assert_array_equal(dataset["status"] != Status.PENDING, mask)
    for name in CHECKED:
        np.testing.assert_array_equal(
            dataset[name].values[mask], results()[name].values[mask], err_msg=name
        )
    assert np.all(np.isnan(dataset["loss"].values[~mask]))
    identical(run_sweep(sweep, mask=mask.tolist()), dataset)


def test_losses_are_thinned_to_points():
    thin = results(how=Engine(points=4))
    assert thin["step"].values.tolist() == [5, 10, 15, 20]
    expected = results()["loss"].values.reshape(4, 3, 4, 5).mean(axis=-1)
    np.testing.assert_allclose(thin["loss"], expected, rtol=1e-6)


class Recorder:
    def __init__(self):
        self.events, self.done, self.steps, self.compiled = [], {}, 0, []

    def begin(self, blocks, finished, found):
        self.events.append("begin")
        self.total = sum(b.runs * b.setup.recipe.steps for b in blocks)

    def compile(self, block):
        self.compiled.append(block.name)

    def advance(self, block, segment):
        self.events.append("advance")
        assert segment.done > self.done.get(block.name, 0)
        self.done[block.name] = segment.done
        self.steps += segment.steps

    def end(self):
        self.events.append("end")


@pytest.mark.slow
def test_progress_and_after_block_are_called():
    recorder, seen = Recorder(), []
    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    run_sweep(
        sweep, progress=recorder, engine=Engine(block_runs=3),
        after_block=lambda dataset: seen.append(int((dataset["status"] > 0).sum())),
    )  # fmt: skip
    assert seen == [3, 6, 9, 12]
    assert recorder.events == ["begin", *["advance"] * 4, "end"]
    assert sum(recorder.done.values()) == recorder.steps == recorder.total == 240


def test_progress_ends_even_if_training_is_interrupted():
    class Impatient(Recorder):
        def advance(self, block, segment):
            raise KeyboardInterrupt

    recorder = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny.sweep("delayed_match"), progress=recorder)
    assert recorder.events == ["begin", "end"]


def test_the_bar_reaches_its_end(capsys):
    run_sweep(tiny.sweep("delayed_match"), progress=rnnjax.ProgressBar("tiny"))
    shown = capsys.readouterr().err
    assert "tiny 100%" in shown
    assert "delayed_match sgd N=5" in shown


@pytest.mark.slow
def test_a_resumed_sweep_states_the_runs_it_found(capsys, tmp_path):
    sweep = tiny.sweep("delayed_match")
    run_sweep(sweep, tmp_path, mask=np.arange(sweep.size).reshape(sweep.shape) < 1)
    run_sweep(sweep, tmp_path, progress=rnnjax.ProgressBar("tiny"))
    shown = capsys.readouterr().err
    assert f"tiny: 1 of {sweep.size} runs found" in shown
    run_sweep(sweep, tmp_path, progress=rnnjax.ProgressBar("tiny"))
    assert capsys.readouterr().err == ""


def out_of_memory_above(size, code="RESOURCE_EXHAUSTED: "):
    def train(setup, hyper, layout, **options):
        if len(hyper.seed) > size:
            raise jax.errors.JaxRuntimeError(f"{code}Out of memory allocating 9 bytes")
        return block.train_block(setup, hyper, layout, **options)

    return train


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED: ", "INTERNAL: Error dispatching: "])
def test_a_block_is_halved_when_memory_runs_out(code, monkeypatch):
    whole = results()
    monkeypatch.setattr(compute, "train_block", out_of_memory_above(3, code))
    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = run_sweep(sweep)
    numbers = [re.findall(r"\d+", str(warning.message)) for warning in caught]
    assert numbers == [["12", "5", "6"], *[["6", "5", "3"]] * 2]
    identical(dataset, whole)


def test_the_finished_part_of_a_halved_block_is_kept(monkeypatch, tmp_path):
    train, ended = out_of_memory_above(6), []

    def killed_after_one(*arguments, **options):
        if ended:
            raise KeyboardInterrupt
        ended.append(train(*arguments, **options))
        return ended[0]

    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(compute, "train_block", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep, tmp_path, keep_parameters=True)
    assert (rnnjax.load_results(tmp_path)["status"] > 0).sum() == 6
    identical(run_sweep(sweep, tmp_path, keep_parameters=True), results())


def test_the_parts_of_a_halved_block_join_to_it(monkeypatch):
    sweep, how = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS}), Engine()
    layout = default_layout()
    (whole,) = plan(sweep, layout, how)
    kept = compute.Kept(np.arange(sweep.recipe.steps), None, True)
    (_, expected), *none = compute.compute_parts(whole, layout, how, kept, None)
    monkeypatch.setattr(compute, "train_block", out_of_memory_above(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = list(compute.compute_parts(whole, layout, how, kept, None))
    found = compute.joined(parts)
    assert not none
    assert [block.runs for block, _ in parts] == [3] * 4
    for done in (expected, found):
        done.values.pop("seconds")
    chex.assert_trees_all_equal(found.values, expected.values)
    chex.assert_trees_all_equal(found.weights, expected.weights)
    assert found.facts["seconds"] == pytest.approx(sum(d.facts["seconds"] for _, d in parts))


@pytest.mark.parametrize("folder", [True, False])
def test_a_trained_block_of_a_folder_outlives_a_request_to_stop(folder, tmp_path, monkeypatch):
    def request(*arguments):
        asked.append(stopping.keeps())
        if folder:
            stopping.request_stop(KeyboardInterrupt())
        return thinned(*arguments)

    thinned, asked = compute.thinned, []
    monkeypatch.setattr(compute, "thinned", request)
    store = tmp_path if folder else MemoryStore()
    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    stops = pytest.raises(KeyboardInterrupt) if folder else contextlib.nullcontext()
    try:
        with stops:
            run_sweep(sweep, store, engine=Engine(block_runs=6))
    finally:
        stopping.withdraw()
    assert asked == ([True] if folder else [False] * 2)
    if folder:
        assert (rnnjax.load_results(tmp_path)["status"] > 0).sum() == 6


def test_a_single_run_left_of_a_large_block_gets_a_smaller_program(monkeypatch):
    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    store, mask, sizes = MemoryStore(), np.ones(sweep.shape, bool), []
    mask[1, 2] = False
    run_sweep(sweep, store, mask=mask)

    def train(setup, hyper, layout, *, size, **options):
        sizes.append((len(hyper.seed), size))
        if size > layout.padded(1):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return block.train_block(setup, hyper, layout, size=size, **options)

    monkeypatch.setattr(compute, "train_block", train)
    with pytest.warns(UserWarning, match="out of memory with 12 runs"):
        identical(run_sweep(sweep, store), results())
    assert sizes == [(1, 12), (1, 4)]


def test_a_single_run_that_does_not_fit_is_an_error(monkeypatch):
    for module in ("compute", "solo"):
        monkeypatch.setattr(f"rnnjax.sweep.{module}.train_block", out_of_memory_above(0))
    with pytest.raises(
        ValueError, match="^evaluation_trials: expected networks that fit into memory"
    ):
        train_one(tiny.TASKS["delayed_match"], tiny.CELL, tiny.recipe(), learning_rate=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            ValueError, match="^evaluation_trials: expected networks that fit into memory"
        ):
            run_sweep(tiny.sweep("delayed_match"))

    def broken(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: of another kind")

    monkeypatch.setattr(compute, "train_block", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        run_sweep(tiny.sweep("delayed_match"))


@pytest.mark.parametrize(
    ("message", "lacking"),
    [
        ("RESOURCE_EXHAUSTED: 9 bytes", True),
        ("INTERNAL: Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY", True),
        ("INTERNAL: hipErrorOutOfMemory: out of memory", True),
        ("INTERNAL: of another kind", False),
    ],
)
def test_errors_of_memory_are_known_by_their_words(message, lacking):
    assert cost.out_of_memory(jax.errors.JaxRuntimeError(message)) == lacking


def test_seconds_do_not_depend_on_the_clock_of_the_machine(monkeypatch):
    turned_back = itertools.count(2e9, -3600)
    clock = types.SimpleNamespace(time=lambda: next(turned_back), perf_counter=time.perf_counter)
    monkeypatch.setattr(compute, "time", clock)
    found = run_sweep(tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS}))
    assert (found["seconds"] > 0).all()


def test_a_single_network_trains_in_segments_as_in_a_sweep(monkeypatch):
    """None is longer than an epoch that ends with a validation."""
    segments = []

    def train(*_, segment, **__):
        segments.append(segment)
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnjax.sweep.solo.train_block", train)
    for recipe in (rnnjax.Recipe(), rnnjax.Recipe.until(0.1, steps_per_epoch=1)):
        with pytest.raises(KeyboardInterrupt):
            train_one(tiny.TASKS["delayed_match"], tiny.CELL, recipe, learning_rate=0.1)
    assert segments == [100, 1]


def test_programs_are_freed_after_train_one_where_there_are_many(monkeypatch):
    freed = []
    monkeypatch.setattr("rnnjax.sweep.solo.free_programs", lambda: freed.append(True))
    solo("delayed_match", "sgd", 0.3, 2)
    assert freed == [True]


def test_train_one_returns_the_network_it_trained():
    one = solo("delayed_match", "sgd", 0.3, 2)
    assert {k: v.shape for k, v in one.params.items()} == {
        k: leaf.shape for k, leaf in one.setup.cell.leaves().items()
    }
    assert (one.setup.cell.inputs, one.setup.cell.outputs) == (2, 1)
    assert one.losses.shape == (tiny.STEPS,)
    assert one.status is Status.EXHAUSTED
    outputs = rnnjax.rollout(one.setup.cell, one.params, np.zeros((1, 3, 2), "f4")).outputs
    assert outputs.shape == (1, 3, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 0.1, "seed": -1}, "seed"),
        ({"learning_rate": 0.1, "seed": 2**31}, "seed"),
        ({"learning_rate": 0.1, "evaluation_trials": 0}, "evaluation_trials"),
    ],
)
def test_invalid_arguments_of_train_one_are_named(options, named):
    with pytest.raises(ValueError, match=f"^{named}: expected "):
        train_one(tiny.TASKS["delayed_match"], tiny.CELL, tiny.recipe(), **options)


@pytest.mark.parametrize(
    ("axis", "recipe", "other"),
    [
        ({"eps": (1e-8, 1e-6)}, {"optimizer": "sgd"}, {"optimizer": "adam"}),
        ({"eps_scaling": ("torch", "scaled")}, {"optimizer": "sgd"}, {"optimizer": "adam"}),
        ({"patience": (1, 2)}, {}, {"stop": "threshold", "threshold": 0.1}),
        ({"validation_trials": (4, 8)}, {"stop": "criterion"}, {"schedule": "plateau"}),
    ],
)
def test_an_axis_without_effect_is_refused(axis, recipe, other):
    def train(axis, recipe):
        cell = rnnjax.cells.rate(5, parametrization=rnnjax.parametrization.InverseWidth())
        axes = {**axis, "learning_rate": (0.1,), "seed": (0,)}
        task = tiny.TASKS["delayed_match"]
        run_sweep(rnnjax.Sweep(task, cell, tiny.recipe(**recipe), axes), mask=np.ones(1, bool))

    ((name, values),) = axis.items()
    with pytest.raises(ValueError, match=f"^{name}: expected one value .* got {values[0]}, "):
        train(axis, recipe)
    for allowed in ((axis, other), ({name: values[:1]}, recipe)):
        with pytest.raises(ValueError, match="^mask: "):  # the next check
            train(*allowed)


def test_invalid_arguments_of_run_sweep_are_named():
    sweep = tiny.sweep()
    with pytest.raises(ValueError, match=r"^mask: .* of shape \(2, 2\), got bool of shape \(2,\)"):
        run_sweep(sweep, mask=np.ones(2, bool))
    with pytest.raises(ValueError, match="keep_parameters: expected a store"):
        run_sweep(sweep, keep_parameters=True)
    with pytest.raises(ValueError, match="^devices: expected at most 2, .*, got 3; .*jax_num_cpu"):
        run_sweep(sweep, engine=Engine(devices=3))
    with pytest.raises(ValueError, match="store: expected a folder or a MemoryStore, got 5"):
        run_sweep(sweep, 5)  # pyright: ignore[reportArgumentType]
    snapshots = tiny.sweep(validation_trials=4, stop="threshold", threshold=0.1, snapshots=(0.2,))
    with pytest.raises(ValueError, match="^keep_parameters: expected True with Recipe.snapshots"):
        run_sweep(snapshots, "unused")
    with pytest.raises(ValueError, match="^keep_state: expected False with Recipe.snapshots"):
        run_sweep(snapshots, "unused", keep_parameters=True, engine=Engine(keep_state=True))
    with pytest.raises(ValueError, match="after_block: expected a function"):
        run_sweep(sweep, after_block=3)  # pyright: ignore[reportArgumentType]
    some = types.SimpleNamespace(begin=print, advance=print, end=print)
    for progress in (True, False, rnnjax.ProgressBar, print, some):
        with pytest.raises(ValueError, match="^progress: expected an object with the methods"):
            run_sweep(sweep, progress=progress)  # pyright: ignore[reportArgumentType]


def test_results_so_far_are_read_only_and_those_at_the_end_are_not(tmp_path):
    def change(dataset):
        with pytest.raises(ValueError, match="read-only"):
            dataset["loss"].values[:] = 0.0
        dataset["loss"] = 0.0 * dataset["loss"]  # of the caller's own dataset alone

    sweep = tiny.sweep("delayed_match", {"learning_rate": RATES, "seed": SEEDS})
    kept = MemoryStore()
    for store in (tmp_path / "store", kept):
        found = run_sweep(sweep, store, engine=Engine(block_runs=4), after_block=change)
        np.testing.assert_array_equal(found["loss"], results()["loss"])
        found["loss"].values[:] = 0.0
    np.testing.assert_array_equal(kept.read()["loss"], results()["loss"])


def test_a_trained_block_is_gone_when_the_next_one_trains(monkeypatch):
    left = []

    def computed(block, layout, how, kept, *_):
        assert all(done() is None for done in left)
        shapes = {"loss": (len(kept.steps),), **dict.fromkeys(FIELDS, ())}
        values = {name: np.ones((block.runs, *shape)) for name, shape in shapes.items()}
        states = {"run0": np.zeros((block.runs, 5, 5))}
        left.extend(map(weakref.ref, (values["loss"], states["run0"])))
        yield block, compute.Computed(values, {}, None, states)

    monkeypatch.setattr(engine, "compute_parts", computed)
    run_sweep(tiny.sweep(), engine=Engine(block_runs=2, ahead=0))
    assert len(left) == 4


def test_integers_of_numpy_are_integers():
    how = Engine(points=np.int64(4), map_width=np.int64(1))
    assert (type(how.points), type(how.map_width)) == (int, int)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"devices": 0}, "devices"),
        ({"map_width": 0}, "map_width"),
        ({"block_runs": 2.0}, "block_runs"),
        ({"segment": -1}, "segment"),
        ({"points": 0}, "points"),
        ({"memory_share": 0.0}, "memory_share"),
        ({"memory_share": 1.1}, "memory_share"),
        ({"spacing": "evn"}, "spacing"),
    ],
)
def test_invalid_engines_are_named(options, named):
    with pytest.raises(ValueError, match=f"^{named}: expected "):
        Engine(**options)


def test_all_is_the_only_word_for_a_map_width():
    with pytest.raises(ValueError, match="^map_width: expected .*'all', got 'al'$"):
        Engine(map_width="al")  # pyright: ignore[reportArgumentType]


def test_gamma_requires_a_rule_that_defines_it():
    with pytest.raises(ValueError, match="gamma: expected a rule that defines it .*'standard'"):
        tiny.sweep(axes={"gamma": (0.5, 1.0)})
    with pytest.raises(ValueError, match="gamma: expected a rule that defines it"):
        train_one(tiny.TASKS["delayed_cue"], tiny.CELL, learning_rate=0.1, gamma=2.0)
    with pytest.raises(ValueError, match="gamma: expected a finite number above 0, got 0"):
        tiny.sweep(axes={"gamma": (0, 1.0)})


@pytest.mark.parametrize(
    ("there", "keep", "planned"),
    [(False, None, False), (False, True, True), (True, None, True), (True, False, False)],
)
def test_blocks_are_planned_with_room_for_the_weights_that_are_kept(
    there, keep, planned, tmp_path, monkeypatch
):
    seen = []

    def stop(*arguments):
        seen.append(arguments[-1])
        raise InterruptedError

    monkeypatch.setattr("rnnjax.sweep.engine.plan", stop)
    if there:
        (tmp_path / "parameters" / "a block").mkdir(parents=True)
    with pytest.raises(InterruptedError):
        run_sweep(tiny.sweep(), tmp_path, keep_parameters=keep)
    assert seen == [planned]
