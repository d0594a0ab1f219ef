"""Networks whose units several devices share: equal to one device, with less memory on each."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import rnnjax
import tiny
from rnnjax import units
from rnnjax.cells import fitted
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import Engine, cost, empty_results, run_sweep
from rnnjax.sweep.ahead import ProgramKey, trace_programs
from rnnjax.sweep.block import train_block
from rnnjax.sweep.sharing import SharedSink
from rnnjax.training import Hyper, Setup

TASK = tiny.TASKS["delayed_cue"]
UNITS = 96


def setup(kind="rate", optimizer="adam", hidden=UNITS):
    cell = fitted(rnnjax.cells.make(kind, hidden=hidden), TASK)
    return Setup(TASK, cell, rnnjax.Recipe(optimizer, epochs=10, batch=4), tiny.TRIALS)


def layout(count):
    return Layout(default_layout().devices[:count], 1, "units")


def trained(what, count, runs):
    ones = np.ones(runs)
    hyper = Hyper(
        learning_rate=0.01 * ones, seed=np.arange(runs), gamma=ones, l1=0 * ones, nuclear=0 * ones
    )
    return train_block(what, hyper, layout(count), size=runs, segment=5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "optimizer", "runs"),
    [
        ("rate", "adam", 1),
        ("current", "adam", 2),
        ("gru", "adam", 1),
        ("structured", "sgd", 2),
    ],
)
def test_shared_units_equal_one_device_to_rounding(kind, optimizer, runs):
    alone, shared = (trained(setup(kind, optimizer), count, runs) for count in (1, 2))
    for name, drawn in alone.weights.initial.items():
        np.testing.assert_array_equal(shared.weights.initial[name], drawn)
        np.testing.assert_allclose(
            shared.weights.trained[name], alone.weights.trained[name], atol=1e-4
        )
        assert not np.array_equal(alone.weights.trained[name], drawn)
    np.testing.assert_allclose(shared.losses, alone.losses, rtol=1e-4)
    np.testing.assert_allclose(shared.values["final_loss"], alone.values["final_loss"], rtol=1e-4)


def programs(what, where):
    """Bytes on each device, and shapes that are gathered, of each program of a block of one run."""
    found = {}
    with where.context():
        for (name, *_), traced in trace_programs(ProgramKey(what, where, 1, 5)):
            compiled = traced.lower().compile()
            analysis = compiled.memory_analysis()
            if analysis is None:
                pytest.skip("this backend does not report the memory of programs")
            taken = (
                analysis.argument_size_in_bytes
                + analysis.output_size_in_bytes
                + analysis.temp_size_in_bytes
                - analysis.alias_size_in_bytes
            )
            lines = [x for x in compiled.as_text().splitlines() if re.search(r" all-gather\(", x)]
            shapes = [re.search(r"\[([\d,]+)\]", line)[1].split(",") for line in lines]
            found[name] = taken, [[int(n) for n in shape] for shape in shapes]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rate", "gru"])
def test_memory_per_device_falls_and_no_weight_is_gathered(kind):
    what = setup(kind)
    one, two = programs(what, layout(1)), programs(what, layout(2))
    for name, (taken, shapes) in two.items():
        assert taken < 0.6 * one[name][0]
        assert all(shape.count(UNITS) <= 1 for shape in shapes)
    assert two["advance"][1]  # of the state
    most = 2 * max(two[name][0] for name in ("advance", "evaluate"))
    assert most / 1.5 < cost.block_bytes(what, 1, layout(2)) < 1.5 * most


def test_the_memory_model_counts_shared_weights_once():
    wide = setup(hidden=10_000)
    assert cost.block_bytes(wide, 1, layout(2)) < 1.05 * cost.block_bytes(wide, 1, layout(1))


def test_networks_that_cannot_be_shared_are_refused():
    def train(cell, **recipe):
        axes = {"learning_rate": (0.1,), "seed": (0,)}
        axes |= dict.fromkeys(recipe.get("penalties", ()), (0.1,))
        sweep = rnnjax.Sweep(TASK, cell, tiny.recipe(**recipe), axes, tiny.TRIALS)
        run_sweep(sweep, engine=Engine(share="units"))

    with pytest.raises(ValueError, match="^hidden: .* multiple of the 2 devices .* got 5"):
        train(rnnjax.cells.rate(5))
    with pytest.raises(ValueError, match="^share: .*'structured'"):
        train(rnnjax.cells.structured(6, structure="orthogonal"))
    with pytest.raises(ValueError, match="^share: .*'linear_recurrence'"):
        train(rnnjax.cells.linear_recurrence(6))
    with pytest.raises(ValueError, match="^share: .*'nuclear'"):
        train(rnnjax.cells.rate(6), penalties=("nuclear",))


def test_one_program_gives_the_pieces_of_all_equal_arrays_bit_for_bit():
    drawn = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("f4")
    drawn[0, 0] = -0.0
    array = layout(2).put({"w": drawn}, {"w": 1})["w"]
    program = units._piece_program(array.sharding.mesh, array.sharding.spec)
    pieces = [np.asarray(program(array, np.int32(i))) for i in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(pieces, 2), drawn.view(np.uint32))
    other = layout(2).put({"w": drawn}, {"w": 1})["w"].sharding
    assert units._piece_program(other.mesh, other.spec) is program


def test_results_so_far_are_those_that_the_first_process_holds():
    held = empty_results(tiny.sweep())

    class Store:
        def view(self):
            return held

        def read(self):
            pytest.fail("blocks were read again")

    found = SharedSink(Store, held).view()
    xr.testing.assert_identical(found, held)
    with pytest.raises(ValueError, match="read-only"):
        found["loss"].values[:] = 0.0


MANY = """
import sys
import jax
rank, port, folder, out = int(sys.argv[1]), *sys.argv[2:]
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{port}", 2, rank)
import numpy as np
import rnnjax, tiny
from rnnjax.sweep import Engine, run_sweep
axes = {"learning_rate": (0.003, 0.01), "seed": (0, 1)}
task, cell = tiny.TASKS["delayed_cue"], rnnjax.cells.current(96)
recipe = rnnjax.Recipe("adam", epochs=10, batch=4)
sweep = rnnjax.Sweep(task, cell, recipe, axes, tiny.TRIALS)
engine = Engine(share="units", block_runs=2, segment=5)
begin = np.zeros(sweep.shape, bool)
begin[0] = True
run_sweep(sweep, folder, engine=engine, mask=begin, keep_parameters=True)
found = run_sweep(sweep, folder, engine=engine, keep_parameters=True)
kept = rnnjax.load_population(folder, learning_rate=0.01).params if rank == 0 else {}
np.savez(out, loss=found["loss"], final_loss=found["final_loss"], **kept)
other = rnnjax.Sweep(task, cell, rnnjax.Recipe("sgd", epochs=10, batch=4), axes, tiny.TRIALS)
try:
    run_sweep(other, folder, engine=engine)
except ValueError as error:
    assert "optimizer" in str(error), error
else:
    raise AssertionError("another sweep was not refused")
"""


def of_one_device(path):
    """Losses, and weights at the larger rate, of the sweep in MANY; its programs exist above."""
    axes, what = {"learning_rate": (0.003, 0.01), "seed": (0, 1)}, setup("current", "adam")
    sweep = rnnjax.Sweep(TASK, what.cell, what.recipe, axes, tiny.TRIALS)
    engine = Engine(share="units", devices=1, block_runs=2, segment=5)
    found = run_sweep(sweep, path, engine=engine, keep_parameters=True)
    kept = rnnjax.load_population(path, learning_rate=0.01).params
    return {"loss": found["loss"], "final_loss": found["final_loss"], **kept}


def ended(*processes):
    for process in processes:
        try:
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == 0, errors


@pytest.mark.slow
def test_four_devices_of_two_processes_equal_one_device(tmp_path):
    alone = of_one_device(tmp_path / "alone")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])

    def start(rank):
        arguments = [str(rank), port, str(tmp_path / "shared"), str(tmp_path / f"{rank}.npz")]
        return subprocess.Popen(
            [sys.executable, "-c", MANY, *arguments],
            cwd=Path(tiny.__file__).parent,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    ended(*(start(rank) for rank in (0, 1)))
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))
    assert len(alone) == 5
    for name, values in alone.items():
        np.testing.assert_allclose(first[name], values, rtol=1e-3, atol=1e-4)
    for name in second.files:
        np.testing.assert_array_equal(second[name], first[name])
