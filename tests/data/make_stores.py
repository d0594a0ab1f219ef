"""Makes stores.tar.gz: stores of commit 9861582, which later versions must open and resume.

Run as `PYTHONPATH=<a checkout of 9861582> python make_stores.py` on a CPU.
"""

import shutil
import tarfile
import tempfile
from pathlib import Path

import rnnjax
from rnnjax.parametrization import MuPAdam
from rnnjax.training import CosineRestarts

TASK = rnnjax.tasks.delayed_match(2, 2, 2)


def make(root: Path) -> None:
    recipe = rnnjax.Recipe("adam", epochs=6, batch=4, penalties=("nuclear",))
    axes = {"hidden": (3, 4), "nuclear": (0.0, 0.01), "learning_rate": (0.03,), "seed": (0, 1)}
    sweep = rnnjax.Sweep(TASK, rnnjax.cells.rate(), recipe, axes, evaluation_trials=8)
    engine = rnnjax.Engine(block_runs=2, points=4, spacing="log")
    rnnjax.run_sweep(sweep, root / "sweep", engine=engine, keep_parameters=True)
    last = max((root / "sweep" / "blocks").glob("4-*.json"))  # one block is left to be computed
    last.unlink()
    shutil.rmtree(root / "sweep" / "parameters" / last.stem)

    recipe = rnnjax.Recipe.until(
        0.25, epochs=4, steps_per_epoch=2, batch=4, validation_trials=6, patience=1,
        schedule=CosineRestarts(period=2), penalties=("l1",),
    )  # fmt: skip
    cell = rnnjax.cells.current(4, bias=True, parametrization=MuPAdam())
    population = rnnjax.train_population(
        TASK, cell, recipe, learning_rate=0.1, gamma=2.0, l1=1e-3, seeds=(3, 0, 7),
        evaluation_trials=8, engine=rnnjax.Engine(points=5),
    )  # fmt: skip
    population.save(root / "population")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        with tarfile.open("stores.tar.gz", "w:gz") as archive:
            for name in ("sweep", "population"):
                archive.add(Path(folder) / name, arcname=name)
