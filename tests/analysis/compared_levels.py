"""Made-up conditions of a factor, as `rnnjax.analysis.degeneracy` describes them."""

import numpy as np
import xarray as xr

from rnnjax.analysis import MEASURES, Comparison
from rnnjax.training import Status


def condition(rng, scale=1.0, networks=6, missed=0):
    """One condition: distances, spreads and measures of which all grow with `scale`.

    The last `missed` networks are exhausted, and NaN where `degeneracy` leaves them NaN.
    """
    seeds = np.arange(networks)
    good = seeds < networks - missed
    status = np.where(good, int(Status.CONVERGED), int(Status.EXHAUSTED))
    variables = {"status": ("seed", status), "epochs": ("seed", rng.integers(3, 9, networks))}

    def distances(*leading):
        points = scale * rng.exponential(size=(*leading, networks, 3))
        found = np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)
        return np.where(good[:, None] & good, found, np.nan)

    for measure in MEASURES.values():
        if measure.variable == "dsa_chart":
            continue  # below
        if measure.statistic == "pairs":
            variables[measure.variable] = (("seed", "other"), distances())
        else:
            values = 1 + scale * rng.exponential(size=networks)
            variables[measure.variable] = ("seed", values)
    for name in ("dsa_chart", "eigenvalue_chart"):
        chart = distances(2, 2)
        chart[1, 1] = np.nan  # beyond the bound
        variables[name] = (("component", "delay", "seed", "other"), chart)
    found = xr.Dataset(
        variables, {"seed": seeds, "other": seeds, "component": [2, 4], "delay": [1, 2]}
    )
    found["dsa"].attrs |= {"components": 4, "delays": 2, "wanted_components": 4}
    found["dsa"].attrs |= {"longest_tried": 2, "above_bound": 0.25, "unsettled": 0.1}
    found["pif"].attrs |= {"above_bound": 0.5, "unsettled": 0.0}
    found.attrs["left_out"] = ", ".join(f"seed {s}: EXHAUSTED" for s in seeds[~good])
    return found


def comparison(scales=(1.0, 2.0, 4.0), missed=0, networks=10, name="flip_flop_bits"):
    """A factor whose levels' degeneracy follows `scales`; the last level missed networks."""
    rng = np.random.default_rng(0)
    counts = [0] * (len(scales) - 1) + [missed]
    data = tuple(condition(rng, s, networks, m) for s, m in zip(scales, counts, strict=True))
    levels = tuple(str(2 + place) for place in range(len(scales)))
    return Comparison(name, "Flip flop", "bits", levels, data)
