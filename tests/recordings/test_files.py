"""Readers: what was saved is read, and other files are refused."""

import datetime
import itertools
import sys

import numpy as np
import pytest
import xarray as xr

from rnnjax.recordings import Binning, example_file, read, read_nwb

RNG = np.random.default_rng(0)
ONE, OTHER = RNG.normal(size=(4, 9, 3)), RNG.normal(size=(7, 5))
OTHER[2] = np.nan


def save(path, value):
    if path.suffix == ".npy":
        np.save(path, value)
    elif path.suffix == ".npz":
        np.savez(path, **value)
    return path


def test_arrays_of_numpy(tmp_path):
    one = save(tmp_path / "one.npy", ONE)
    found = read(one)
    np.testing.assert_array_equal(found["one"], ONE)
    many = save(tmp_path / "many.npz", {"a": ONE, "b": OTHER, "c": np.stack([ONE, -ONE])})
    found = read([one, str(many)])
    assert list(found) == ["one", "a", "b", "c/0", "c/1"]
    np.testing.assert_array_equal(found["b"], OTHER[None])
    np.testing.assert_array_equal(found["c/1"], -ONE)


def test_files_of_the_same_name_are_told_apart(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(save(tmp_path / folder / "rates.npz", {"rates": ONE, "v": ONE}))
    found = read(paths)
    ends = ["x/rates", "x/rates/v", "y/rates", "y/rates/v"]
    assert list(found) == [str(tmp_path / end) for end in ends]
    with pytest.raises(ValueError, match="twice"):
        read([paths[0], paths[0]])
    alike = save(tmp_path / "x" / "rates.npy", np.stack([ONE, ONE]))
    ends = ["x/rates.npy/0", "x/rates.npy/1", "x/rates.npz", "x/rates.npz/v", *ends[2:]]
    assert list(read([alike, *paths])) == [str(tmp_path / end) for end in ends]


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
def test_netcdf(tmp_path, engine):
    if engine == "h5netcdf":
        pytest.importorskip("h5netcdf")
    several = xr.DataArray(
        RNG.normal(size=(3, 9, 2, 4)), dims=("unit", "time", "network", "trial"),
        coords={"network": ["a", "b"]},
    )  # fmt: skip
    single = xr.DataArray(OTHER.T, dims=("neuron", "step"))
    dataset = xr.Dataset({"several": several, "single": single})
    dataset.to_netcdf(tmp_path / "all.nc", engine=engine)
    found = read(tmp_path / "all.nc")
    assert {*found} == {"a", "b", "single"}
    expected = several.sel(network="b").transpose("trial", "time", "unit")
    np.testing.assert_array_equal(found["b"], expected)
    np.testing.assert_array_equal(found["single"], OTHER[None])


def test_netcdf_of_sessions_named_by_dates_with_times_since_an_event(tmp_path):
    days = np.array(["2026-01-01", "2026-01-02"], "datetime64[ns]")
    times = ("time", np.arange(ONE.shape[1]), {"units": "seconds since stimulus onset"})
    several = xr.DataArray(
        np.stack([ONE, -ONE]), dims=("network", "trial", "time", "unit"),
        coords={"network": days, "time": times},
    )  # fmt: skip
    several.to_dataset(name="rates").to_netcdf(tmp_path / "days.nc", engine="scipy")
    found = read(tmp_path / "days.nc")
    assert [name[:10] for name in found] == ["2026-01-01", "2026-01-02"]
    np.testing.assert_array_equal(list(found.values()), [ONE, -ONE])


def test_recordings_of_one_file_with_the_same_name_are_kept_apart_or_refused(tmp_path):
    dims, names = ("network", "trial", "time", "unit"), {"network": ["Ada", "Bo"]}
    raw = xr.DataArray(np.stack([ONE, -ONE]), dims=dims, coords=names)
    xr.Dataset({"raw": raw, "smooth": 2 * raw}).to_netcdf(tmp_path / "two.nc", engine="scipy")
    found = read(tmp_path / "two.nc")
    assert list(found) == ["raw/Ada", "raw/Bo", "smooth/Ada", "smooth/Bo"]
    np.testing.assert_array_equal(found["smooth/Bo"], -2 * ONE)
    clash = save(tmp_path / "clash.npz", {"x": np.stack([ONE, ONE]), "x/0": OTHER})
    with pytest.raises(ValueError, match="clash.npz: .* got the recording 'x/0' in 'x' and in"):
        read(clash)


def test_the_example():
    """Two states of the same neurons: as many units in both, and counts of spikes."""
    found = read(example_file())
    assert {name: x.shape for name, x in found.items()} == {
        "adn_sleep": (1, 6000, 7), "adn_wake": (1, 6000, 7),
        "ca1_sleep": (1, 6000, 8), "ca1_wake": (1, 6000, 8),
    }  # fmt: skip
    for x in found.values():
        np.testing.assert_array_equal(x, np.rint(x))
        assert x.min() == 0 and 0.05 < x.mean() < 2


def part(value):
    spoiled = value.copy()
    spoiled[1, 2, 0] = np.nan
    return spoiled


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1 2", "suffix of a.txt: expected one of .npy, .npz, .nc, .nwb"),
        ("a.npz", b"text", "expected a .npz file"),
        ("a.npz", b"PK\x03\x04 text", "expected a .npz file"),
        ("a.nc", b"text", "expected a .nc file"),
        ("a.nc", b"CDF\x01 text", "expected a .nc file"),
        ("a.npy", b"", "expected a .npy file"),
        ("a.npy", np.array([1, None]), "holds Python objects"),
        ("a.npy", np.ones(4), "files, a.npy, a: expected shape"),
        ("a.npy", part(ONE), "some units of trial 1, step 2"),
        ("a.npz", {}, "expected at least one array"),
        ("a.npz", {"x": np.array(["a"])}, "files, a.npz, x: expected real numbers"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else save(path, content)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="x.npy"):
        read(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="files: expected at least one"):
        read([])


@pytest.mark.parametrize("given", [5, [5], None])
def test_what_is_no_file_is_named(given):
    with pytest.raises(ValueError, match="^files: expected "):
        read(given)
    with pytest.raises(ValueError, match="^file: expected the path of a file"):
        read_nwb(given)


SPIKES = [np.sort(RNG.uniform(0, 10, 200)) for _ in range(4)]
TRIALS = ((1.0, 2.0), (3.0, 4.55), (6.2, 6.25))


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory):
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("pynapple")
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    content = pynwb.NWBFile("a recording", "identifier", start)
    content.add_unit_column("area", "where it was recorded")
    for number, times in enumerate(SPIKES):
        content.add_unit(spike_times=times, area="CA1" if number % 2 else "ADN")
    for first, last in TRIALS:
        content.add_trial(start_time=first, stop_time=last)
    path = tmp_path_factory.mktemp("nwb") / "mouse.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(content)
    return path


def counted(times, start, bins, width):
    """Spikes in each bin, one by one."""
    edges = start + width * np.arange(bins + 1)
    return [sum(a <= t < b for t in times) for a, b in itertools.pairwise(edges)]


@pytest.mark.slow
def test_units_of_nwb_files_are_binned_by_trial(nwb_file):
    rates = read_nwb(nwb_file, Binning(0.1))
    assert rates.shape == (3, 15, 4)
    for unit, times in enumerate(SPIKES):
        for trial, bins in enumerate((10, 15, 0)):
            counts = counted(times, TRIALS[trial][0], bins, 0.1)
            np.testing.assert_allclose(rates[trial, :bins, unit], np.array(counts) / 0.1)
            assert np.isnan(rates[trial, bins:, unit]).all()
    chosen = read_nwb(nwb_file, Binning(0.1), where={"area": "CA1"})
    np.testing.assert_array_equal(chosen, rates[..., 1::2])
    np.testing.assert_array_equal(read(nwb_file)["mouse"], rates)


@pytest.mark.slow
def test_smoothing_stays_within_trials(nwb_file):
    rates = read_nwb(nwb_file, Binning(0.1))
    smooth = read_nwb(nwb_file, Binning(0.1, smoothing=0.2))
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(rates))
    times = np.arange(15)
    # The middle of a trial, far from its ends for the kernel, which scipy cuts at 4 deviations.
    weights = np.exp(-((times - 7) ** 2) / 8)
    expected = weights @ rates[1] / weights.sum()
    np.testing.assert_allclose(smooth[1, 7], expected, rtol=0.02)


@pytest.mark.parametrize(
    ("binning", "where", "message"),
    [
        (Binning(trials="trial"), None, "trials: .*did you mean 'trials'"),
        (Binning(20.0), None, "width: expected at most the duration of a trial, got 20"),
        (None, {"aria": "CA1"}, "where: .*did you mean 'area'"),
        (None, {"area": "CA2"}, "where: expected a condition that some unit meets"),
    ],
)
def test_bad_choices_are_named(nwb_file, binning, where, message):
    with pytest.raises(ValueError, match=message):
        read_nwb(nwb_file, binning, where=where)


@pytest.mark.parametrize("options", [{"width": 0}, {"smoothing": -1.0}, {"trials": 3}])
def test_bad_bins_are_named(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: expected"):
        Binning(**options)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    (tmp_path / "a.nwb").write_bytes(b"x")
    with pytest.raises(ImportError, match=r"pip install 'rnnjax\[nwb\]'"):
        read(tmp_path / "a.nwb")
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ImportError, match=r"pip install 'rnnjax\[nwb\]'"):
        read(tmp_path / "a.nc")


def observed_file(path, intervals, trials=(), stated=True):
    """A file of units that fire once in the middle of every second of their intervals."""
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("pynapple")
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    content = pynwb.NWBFile("a recording", "identifier", start)
    content.add_unit_column("kind", "a or b")
    for kind, each in zip("ab", intervals, strict=True):
        times = np.concatenate([np.arange(a, b) + 0.5 for a, b in each])
        known = {"obs_intervals": each} if stated else {}
        content.add_unit(spike_times=times, kind=kind, **known)
    for first, last in trials:
        content.add_trial(start_time=first, stop_time=last)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(content)
    return path


@pytest.mark.slow
def test_recordings_without_intervals_are_one_trial(tmp_path):
    """Two units that are never active at the same time, with a silent stretch between them."""
    units = [[0.0, 10.0]], [[20.0, 30.0]]
    file = observed_file(tmp_path / "a.nwb", units, stated=False)
    both, second = read_nwb(file, Binning(1.0)), read_nwb(file, Binning(1.0), where={"kind": "b"})
    assert both.shape == (1, 29, 2)  # from the first spike at 0.5 s to the last at 29.5 s
    np.testing.assert_array_equal(both[0, :, 0], np.arange(29) < 10)
    np.testing.assert_array_equal(second[..., 0], both[..., 1])


@pytest.mark.slow
def test_what_was_not_observed_is_missing(tmp_path):
    """Two units, of which the second is observed in two adjoining intervals and ends earlier."""
    units = [[0.0, 10.0], [20.0, 30.0]], [[1.0, 5.0], [5.0, 10.0], [20.0, 25.0]]
    rates = read_nwb(observed_file(tmp_path / "a.nwb", units), Binning(1.0))
    assert rates.shape == (2, 9, 2)
    np.testing.assert_array_equal(rates[0], 1)
    np.testing.assert_array_equal(rates[1, :5], 1)
    assert np.isnan(rates[1, 5:]).all()
    trials = (2.0, 5.0), (8.5, 12.5), (26.0, 29.0)
    file = observed_file(tmp_path / "b.nwb", units, trials)
    for binning in (Binning(1.0), Binning(1.0, smoothing=2.0)):
        rates = read_nwb(file, binning)
        assert np.isfinite(rates[..., 0]).sum(1).tolist() == [3, 1, 0]
        np.testing.assert_allclose(rates[np.isfinite(rates)], 1)
    with pytest.raises(ValueError, match="^file: expected units that were observed at the same"):
        read_nwb(observed_file(tmp_path / "c.nwb", [units[0][:1], units[1][2:]]))
    with pytest.raises(ValueError, match="^trials: expected a bin in which all units"):
        read_nwb(observed_file(tmp_path / "d.nwb", units, [(11.0, 19.0)]), Binning(1.0))


@pytest.mark.slow
def test_adjacent_and_overlapping_trials_are_kept_and_empty_intervals_are_refused(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("pynapple")
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    content = pynwb.NWBFile("a recording", "identifier", start)
    for times in SPIKES:
        content.add_unit(spike_times=times)
    starts = (0.0, 1.0, 2.0, 1.5)  # the last overlaps two others
    for first in starts:
        content.add_trial(start_time=first, stop_time=np.nextafter(first + 1.0, 9.0))
    content.add_trial(start_time=5.0, stop_time=np.nan)
    pulses = pynwb.epoch.TimeIntervals(name="pulses", description="no time")
    pulses.add_interval(start_time=1.0, stop_time=1.0)
    content.add_time_intervals(pulses)
    path = tmp_path / "mouse.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(content)
    rates = read_nwb(path, Binning(0.1))
    assert rates.shape == (4, 10, 4)
    for trial, unit in itertools.product(range(4), range(4)):
        counts = counted(SPIKES[unit], starts[trial], 10, 0.1)
        np.testing.assert_allclose(rates[trial, :, unit], np.array(counts) / 0.1)
    with pytest.raises(ValueError, match="trials: expected intervals of positive duration"):
        read_nwb(path, Binning(0.1, trials="pulses"))


@pytest.mark.slow
@pytest.mark.parametrize("column", [None, "rate"])
def test_units_that_cannot_be_read_are_named(column, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("pynapple")
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    content = pynwb.NWBFile("a recording", "identifier", start)
    if column:
        content.add_unit_column(column, "a name that pynapple uses")
    for times in SPIKES if column else ([], []):
        content.add_unit(spike_times=times, **({column: 1.0} if column else {}))
    with pynwb.NWBHDF5IO(tmp_path / "mouse.nwb", "w") as io:
        io.write(content)
    path = (tmp_path / "mouse.nwb").rename(tmp_path / "mouse.NWB")
    with pytest.raises(ValueError, match="^file: expected units that pynapple can read"):
        read_nwb(path)
