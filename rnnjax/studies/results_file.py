"""A sweep's results without learning curves in one small file (netCDF), beside its report."""

from pathlib import Path

import xarray as xr

from rnnjax.studies.measures_file import read_measures, write_measures

__all__ = ["NAME", "read_results", "write_results"]

NAME = "results.nc"

_CURVES = {"step", "epoch"}


def write_results(results: xr.Dataset, workdir: Path) -> Path:
    """Writes `results.nc` and its digest into a workdir; returns the file.

    Variables along the steps or epochs of training are left out: a few numbers per run remain.
    """
    curves = [name for name, values in results.variables.items() if _CURVES & set(values.dims)]
    kept, file = results.drop_vars(curves), Path(workdir) / NAME
    write_measures(kept, file)
    return file


def read_results(workdir: Path) -> xr.Dataset:
    """The results that a workdir, or a folder with a copy of the file, holds.

    Raises `ValueError` for a damaged file, and `OSError` for one that is missing.
    """
    return read_measures(Path(workdir) / NAME)
