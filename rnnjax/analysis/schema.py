"""Variables and dimensions that analyses require of a sweep's dataset, and its status flags."""

from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr

from rnnjax.training import Status
from rnnjax.validate import instance_of

__all__ = ["diverged", "finished", "iterate_conditions", "require", "status_counts"]

FINISHED = ("CONVERGED", "DIVERGED", "EXHAUSTED")


def require(
    dataset: xr.Dataset, *, variables: Iterable[str] = (), dims: Iterable[str] = ()
) -> None:
    """Raises a `ValueError` that names every variable and dimension missing from `dataset`."""
    instance_of("dataset", dataset, xr.Dataset)
    missing = [f"variable {name!r}" for name in variables if name not in dataset]
    missing += [f"dimension {name!r}" for name in dims if name not in dataset.dims]
    if missing:
        raise ValueError(
            f"dataset: expected a sweep's results, but it has no {', no '.join(missing)}"
        )


def _flag_codes(status: xr.DataArray) -> dict[str, int]:
    """Status name -> code, from the CF attributes `flag_meanings` and `flag_values`."""
    meanings, values = status.attrs.get("flag_meanings"), status.attrs.get("flag_values")
    if meanings is None or values is None:
        return {status.name: int(status) for status in Status}
    names = meanings.split() if isinstance(meanings, str) else meanings
    return {str(n).upper(): int(v) for n, v in zip(names, np.atleast_1d(values), strict=True)}


def finished(dataset: xr.Dataset) -> xr.DataArray:
    """True where a run has ended, whether it converged, diverged or took all its steps.

    Read from `status`; without it, a run counts as finished where its `final_loss` is not NaN. A
    run that diverged to a NaN loss then counts as not run: give it an infinite `final_loss`. Raises
    `ValueError` without both.
    """
    require(dataset)
    if "status" not in dataset:
        require(dataset, variables=["final_loss"])
        return dataset["final_loss"].notnull()
    codes = _flag_codes(dataset["status"])
    return dataset["status"].isin([codes[name] for name in FINISHED if name in codes])


def diverged(dataset: xr.Dataset) -> xr.DataArray:
    """True where a run has ended with a loss that is not finite, by status or by final loss."""
    result = xr.zeros_like(finished(dataset))
    if "status" in dataset:
        result = result | (dataset["status"] == _flag_codes(dataset["status"])["DIVERGED"])
    if "final_loss" in dataset:
        result = result | (finished(dataset) & ~np.isfinite(dataset["final_loss"]))
    return result


def status_counts(dataset: xr.Dataset) -> dict[str, int]:
    """Number of runs of each status; statuses that do not occur are left out."""
    require(dataset, variables=["status"])
    values = dataset["status"].values
    counts = {
        name: int((values == code).sum()) for name, code in _flag_codes(dataset["status"]).items()
    }
    return {name: count for name, count in counts.items() if count}


def iterate_conditions(
    dataset: xr.Dataset, within: Iterable[str] = ("hidden", "learning_rate", "seed", "step")
) -> Iterator[tuple[dict[str, object], xr.Dataset]]:
    """Iterates over the conditions of a dataset: yields (coordinates, the part at them).

    Conditions are the positions along the dimensions that are not in `within` (task, optimizer,
    ...). Without such a dimension the one condition is the whole dataset. The coordinate of a
    dimension that has none is the position.
    """
    inner = set(within)
    names = [str(name) for name in dataset.dims if name not in inner]
    sizes = [dataset.sizes[name] for name in names]
    for position in np.ndindex(*sizes):
        part = dataset.isel(dict(zip(names, position, strict=True)))
        places = zip(names, position, strict=True)
        yield {name: dataset[name][place].item() for name, place in places}, part
