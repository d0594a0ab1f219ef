"""Where the time of a training step of a small network goes, on one CPU device.

    python benchmarks/step_profile.py                  # N = 16, 64, two minutes

Parts of the step, and variants of its recursion, are programs of their own. See
benchmarks/README.md.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import script
from machine import best_seconds, describe, package_versions

from rnnjax import cells, tasks
from rnnjax.devices import Layout, all_devices
from rnnjax.tasks import Task
from rnnjax.training import (
    Hyper,
    Recipe,
    Setup,
    accuracy,
    advance,
    check_settings,
    initial_params,
    start,
)
from rnnjax.trajectory import rollout
from rnnjax.validate import one_of, positive_integer

TASKS = {
    "delayed_cue": tasks.delayed_cue,
    "delayed_match": tasks.delayed_match,
    "flip_flop": tasks.flip_flop,
    "delayed_discrimination": tasks.delayed_discrimination,
    "sine_wave": tasks.sine_wave,
    "path_integration": tasks.path_integration,
}

_INSIDE = 50
"""Repetitions inside one call of a program."""


def _repeated(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Applies `function` again and again, each time to a value that depends on the last."""

    def again(_, argument: Any) -> Any:
        total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(function(argument)))
        return jax.tree.map(lambda leaf: leaf + 1e-12 * total, argument)

    return lambda argument: jax.lax.fori_loop(0, _INSIDE, again, argument)


def step_parts(setup: Setup) -> dict[str, Callable[[], Any]]:
    """Calls of the whole step and of its parts; each takes `_INSIDE` steps."""
    task, cell, batch = setup.task, setup.cell, setup.recipe.batch
    values = check_settings({"learning_rate": 1e-3}, ())
    params = initial_params(cell, 0)
    run = start(setup, Hyper(seed=jnp.asarray(0), **jax.tree.map(jnp.asarray, values)), params)
    trial = task.batch(jax.random.key(0), batch)

    def loss(params: Any) -> Any:
        outputs = rollout(cell, params, trial.inputs).outputs
        return accuracy.mean_squared_error(outputs, trial.targets)

    def scores(outputs: Any) -> Any:
        right = accuracy.decision(outputs, trial.targets, trial.mask, task.decision)
        return right, accuracy.blind_loss(outputs)

    def draw(seed: Any) -> Any:
        return task.batch(jax.random.key(seed.astype(jnp.int32)), batch)

    parts: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "step": (functools.partial(advance, setup, length=_INSIDE), run),
        "forward": (_repeated(loss), params),
        "forward and backward": (_repeated(jax.grad(loss)), params),
        "trials": (_repeated(draw), jnp.zeros(())),
        "accuracies": (_repeated(scores), trial.targets),
    }
    return {n: functools.partial(jax.jit(f), argument) for n, (f, argument) in parts.items()}


def recursions(units: int, steps: int, batch: int) -> dict[str, Callable[[], Any]]:
    """Calls of the forward recursion of the rate network, whole and with parts left out."""
    first, second = jax.random.split(jax.random.key(0))
    weights = jax.random.normal(first, (units, units)) / np.sqrt(units)
    drive = jax.random.normal(second, (steps, batch, units))

    def run(activation: Callable, product: bool, keep: bool, unroll: int, initial: Any) -> Any:
        def one(state: Any, drive_t: Any) -> Any:
            current = (state @ weights if product else state) + drive_t
            state = 0.5 * state + 0.5 * activation(current)
            return state, (state, current) if keep else None

        return jax.lax.scan(one, initial, drive, unroll=unroll)

    variants = {
        "recursion": (jnp.tanh, True, True, 1),
        "unrolled twice": (jnp.tanh, True, True, 2),
        "unrolled fully": (jnp.tanh, True, True, steps),
        "without tanh": (lambda x: x, True, True, 1),
        "without products": (jnp.tanh, False, True, 1),
        "without kept states": (jnp.tanh, True, False, 1),
        "loop alone": (lambda x: x, False, False, 1),
    }
    initial = jnp.zeros((batch, units))
    return {
        name: functools.partial(jax.jit(_repeated(functools.partial(run, *variant))), initial)
        for name, variant in variants.items()
    }


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Microseconds per repetition of every call, by rounds; and seconds of the first call."""
    first, times = {}, {name: [] for name in calls}
    for name, call in calls.items():
        begin = time.perf_counter()
        jax.block_until_ready(call())
        first[name] = time.perf_counter() - begin
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(1e6 * (time.perf_counter() - begin) / _INSIDE)
    return {
        name: {**script.spread(values), "first_call_seconds": first[name]}
        for name, values in times.items()
    }


def profile(task: Task, units: int, rounds: int, peak: float, whole: bool) -> dict[str, Any]:
    """The times of a task and size, microseconds per training step; `whole`: the recursion too."""
    setup = Setup(task, cells.fitted(cells.rate(units), task), Recipe())
    operations = 6 * setup.recipe.batch * task.steps * setup.cell.products
    row = {
        "task": task.name, "hidden": units, "steps": task.steps, "batch": setup.recipe.batch,
        "operations": operations, "floor": 1e6 * operations / peak,
        "parts": timed(step_parts(setup), rounds),
    }  # fmt: skip
    if whole:
        row["recursion"] = timed(recursions(units, task.steps, setup.recipe.batch), rounds)
    for kind in ("parts", "recursion")[: 1 + whole]:
        shown = ", ".join(f"{name} {t['median']:.1f}" for name, t in row[kind].items())
        print(f"{task.name}, N = {units}, us per step: {shown}", flush=True)
    return row


def main() -> None:
    """Profiles every size and writes results/step_profile-cpu.json."""
    parser = script.Parser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--widths", default="16,64", help="network sizes, with commas between")
    parser.add_argument(
        "--tasks", default=",".join(TASKS), help="tasks; recursions are timed for the first"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=script.RESULTS)
    given = parser.parse_args()
    with script.refused_in_one_line(parser):
        names = [one_of("tasks", name, tuple(TASKS)) for name in given.tasks.split(",")]
        widths = script.sizes("widths", given.widths)
        positive_integer("rounds", given.rounds)
        script.writable_folder(given.out)
    ones = jnp.ones((1024, 1024))
    peak = 2 * 1024**3 / best_seconds(jax.jit(lambda x: x @ x), ones, 10)
    rows = [
        profile(TASKS[name](), units, given.rounds, peak, whole=name == names[0])
        for name in names
        for units in widths
    ]
    record = {
        "benchmark": "step_profile",
        "command": " ".join(["python", "benchmarks/step_profile.py", *sys.argv[1:]]),
        "machine": describe(Layout(all_devices().devices[:1], 1)),
        "versions": package_versions(None),
        "peak_flops": peak,
        "rows": rows,
    }
    print(f"Record: {script.save_record(record, given.out)}")


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 1)
    script.run_main(main)
