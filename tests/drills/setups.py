"""Trains many setups, each with programs of its own, in one process; prints what they hold.

    python tests/drills/setups.py --sweeps=30 --setups=400

Memory, memory mappings and compiled programs must not grow with the number of setups: on CPU every
program takes hundreds of mappings, and Linux aborts a process that reaches `vm.max_map_count`.
"""

import argparse
import resource
import time
from pathlib import Path

import jax
import numpy as np

import rnnjax


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=30)
    parser.add_argument("--setups", type=int, default=400)
    given = parser.parse_args()
    jax.config.update("jax_disable_most_optimizations", True)  # compiles faster; as many programs
    jax.config.update("jax_num_cpu_devices", 2)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: event.endswith("compile_duration") and compiled.append(seconds)
    )
    most = int(Path("/proc/sys/vm/max_map_count").read_text())
    widths = np.array_split(np.arange(2, 2 + given.setups), given.sweeps)
    begin, largest = time.monotonic(), 0
    for number, hidden in enumerate(widths, 1):
        sweep = rnnjax.Sweep(
            rnnjax.tasks.delayed_match(),
            rnnjax.cells.rate(),
            rnnjax.Recipe(epochs=1, steps_per_epoch=1, batch=10),
            {"hidden": hidden.tolist(), "learning_rate": (0.01,), "seed": (0, 1)},
            evaluation_trials=10,
        )
        results = rnnjax.run_sweep(sweep)
        assert (results.status == rnnjax.Status.EXHAUSTED).all()
        maps = len(Path("/proc/self/maps").read_text().splitlines())
        largest = max(largest, maps)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{number} sweeps: {maps} mappings, peak memory {memory:.2f} GB", flush=True)
    print(
        f"{given.setups} setups in {given.sweeps} sweeps: {len(compiled)} compilations, at most "
        f"{largest} mappings after a sweep (limit {most}), peak memory {memory:.2f} GB, "
        f"{time.monotonic() - begin:.0f} s"
    )


if __name__ == "__main__":
    main()
