"""Comparison of the results of two sweeps."""

import numpy as np
import xarray as xr

from rnnjax.sweep import FIELDS

CHECKED = [name for name in (*FIELDS, "loss") if name != "seconds"]


def same(one, two):
    """With coordinates and attributes."""
    xr.testing.assert_identical(one.drop_vars("seconds"), two.drop_vars("seconds"))


def identical(one, two):
    for name in CHECKED:
        np.testing.assert_array_equal(one[name].values, two[name].values, err_msg=name)


def close(one, two):
    for name in CHECKED:
        np.testing.assert_allclose(
            one[name].values, two[name].values, rtol=1e-5, atol=1e-5, err_msg=name
        )
