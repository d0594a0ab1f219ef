"""Stores of different versions and settings: made, read and compared.

python .ci/stores.py make FOLDER [DEVICES]    a sweep with one pending block, and a population
python .ci/stores.py read FOLDER              opens both, and resumes a copy of the sweep
python .ci/stores.py same FOLDER FOLDER       they hold the same numbers, to the last bit
python .ci/stores.py near FOLDER FOLDER       the same up to rounding
"""

import shutil
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))


def numbers(folder: Path) -> dict[str, np.ndarray]:
    """Results and weights of both stores; `seconds` differ between calls."""
    import rnnjax
    from rnnjax.sweep import load_sweep

    found = {}
    with tempfile.TemporaryDirectory() as place:
        sweep = Path(shutil.copytree(folder / "sweep", Path(place) / "sweep"))
        engine = rnnjax.Engine(block_runs=2, points=4, spacing="log")
        results = rnnjax.run_sweep(load_sweep(sweep), sweep, engine=engine, keep_parameters=True)
    assert int((results["status"] > 0).sum()) == results["status"].size
    population = rnnjax.load_population(folder / "population")
    for name, dataset in (("sweep", results), ("population", population.results)):
        found |= {f"{name} {n}": v.values for n, v in dataset.data_vars.items() if n != "seconds"}
    return found | {f"trained {n}": np.asarray(leaf) for n, leaf in population.params.items()}


def main(command: str, *arguments: str) -> None:
    """Runs one command; an assertion fails where numbers differ."""
    folder, *others = arguments
    if command == "make":
        jax.config.update("jax_num_cpu_devices", int(others[0]) if others else 2)
        from make_stores import make

        Path(folder).mkdir(parents=True)
        make(Path(folder))
        return
    jax.config.update("jax_num_cpu_devices", 2)
    ours = numbers(Path(folder))
    if command in ("same", "near"):
        theirs = numbers(Path(others[0]))
        assert ours.keys() == theirs.keys()
        bounds = {"rtol": 1e-3, "atol": 1e-5} if command == "near" else {"rtol": 0, "atol": 0}
        for name, values in ours.items():
            np.testing.assert_allclose(values, theirs[name], err_msg=name, **bounds)
    print(f"{command} {' '.join(arguments)}: {len(ours)} variables")


if __name__ == "__main__":
    main(*sys.argv[1:])
