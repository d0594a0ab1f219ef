"""Layouts, mapping, padding and memory budgets."""

from pathlib import Path
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import devices
from rnnjax.devices import Layout, default_layout


def of_devices(count, map_width):
    return Layout(default_layout().devices[:count], map_width)


@pytest.mark.parametrize("map_width", [None, 1, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_map_is_a_loop(map_width, count):
    layout = of_devices(count, map_width)
    runs = {"a": jnp.arange(8.0), "b": jnp.arange(16).reshape(8, 2)}
    runs = jax.device_put(runs, layout.sharding())
    got = jax.jit(lambda r: layout.map(lambda one: one["a"] + one["b"], r))(runs)
    expected = [runs["a"][k] + np.asarray(runs["b"])[k] for k in range(8)]
    np.testing.assert_array_equal(got, expected)
    assert len(got.sharding.device_set) == count


@pytest.mark.parametrize(
    ("count", "map_width", "runs", "expected"),
    [(2, 1, 1, 4), (2, 1, 4, 4), (2, 1, 5, 6), (2, None, 1, 2), (2, None, 5, 6), (1, 1, 1, 2),
     (1, None, 1, 1)],
)  # fmt: skip
def test_padded_size_of_a_block(count, map_width, runs, expected):
    assert of_devices(count, map_width).padded(runs) == expected


def test_padding_repeats_the_last_entry():
    padded = devices.pad_to(5, {"x": jnp.array([3, 1, 2])})
    chex.assert_trees_all_equal(padded, {"x": jnp.array([3, 1, 2, 2, 2])})
    assert devices.padded_index(2, 4, 5).tolist() == [2, 3, 4, 4]


@pytest.mark.parametrize("runs", range(1, 7))
@pytest.mark.parametrize("count", [1, 2])
def test_devices_take_equal_and_contiguous_shares_of_the_runs(count, runs):
    layout = of_devices(count, 1)
    size = layout.padded(runs)
    rows = layout.rows(size, runs)
    assert len(set(rows.tolist())) == runs and rows.max() < size
    device = rows // (size // count)
    assert np.bincount(device, minlength=count).max() == -(-runs // count)
    assert (np.diff(device) >= 0).all()
    padded = devices.pad_to(size, np.arange(10, 10 + runs), rows)
    np.testing.assert_array_equal(padded[rows], np.arange(10, 10 + runs))
    assert set(padded.tolist()) == set(range(10, 10 + runs))
    side_by_side = of_devices(count, None)
    np.testing.assert_array_equal(side_by_side.rows(6, 5), np.arange(5))


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_items_mapped_over_devices_are_those_of_vmap(count):
    assert jax.local_device_count() == 2
    items = {"a": jnp.arange(count * 3.0).reshape(count, 3), "b": jnp.arange(count)}

    def function(item):
        return item["a"] * item["b"], jnp.sum(item["a"])

    mapped = jax.jit(lambda items: devices.map_items(function, items))(items)
    chex.assert_trees_all_close(mapped, jax.vmap(function)(items))


def test_default_layout_uses_every_core_and_layouts_are_hashable():
    assert default_layout() == default_layout()
    assert hash(default_layout()) == hash(default_layout())
    assert (len(default_layout().devices), default_layout().map_width) == (2, 1)
    assert default_layout(1, 3) == of_devices(1, 3)
    assert default_layout().on_cpu
    assert devices.on_cpu()


@pytest.mark.parametrize(
    ("count", "map_width", "expected"), [(1, 1, 2), (2, 1, 4), (1, None, 8), (2, None, 16)]
)
def test_size_of_a_group_of_networks(count, map_width, expected):
    assert of_devices(count, map_width).group_size == expected


def test_one_device_on_many_cores_gives_a_hint(monkeypatch):
    only = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: only)
    monkeypatch.setattr(devices, "available_cores", lambda: 4)
    with pytest.warns(UserWarning, match=r'update\("jax_num_cpu_devices", 4\)'):
        default_layout()
    assert len(default_layout(devices=1).devices) == 1  # a given number: no hint
    assert len(devices.all_devices().devices) == 1


def test_memory_sets_the_size_of_a_batch():
    assert devices.batch_size(100, memory=1000) == 10
    assert devices.batch_size(300, memory=1000) == 3
    assert devices.batch_size(5000, memory=1000) == 1  # one pair must be solved
    with pytest.raises(ValueError, match="^memory"):
        devices.batch_size(10, memory=0)


def fake_device(platform, stats):
    return mock.Mock(spec=jax.Device, platform=platform, memory_stats=lambda: stats)


@pytest.mark.parametrize(
    ("platform", "stats", "expected"),
    [
        ("cpu", {"bytes_limit": 2**40}, 2**28),
        ("gpu", {"bytes_limit": 2**36}, 2**33),
        ("gpu", {"bytes_limit": 2**20}, 2**28),
        ("gpu", None, 2**28),
    ],
)
def test_batches_fill_an_accelerator(platform, stats, expected, monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [fake_device(platform, stats)])
    assert devices.batch_memory() == expected
    assert devices.batch_size(2**20) == expected // 2**20


@pytest.mark.parametrize(
    ("platform", "stats", "expected"),
    [
        ("cpu", {"bytes_limit": 2**40}, 500),
        ("gpu", {"bytes_limit": 1000, "bytes_in_use": 200}, 800),
        ("gpu", None, 500),
    ],
)
def test_budget_is_a_share_of_the_free_memory(platform, stats, expected, monkeypatch):
    monkeypatch.setattr(devices, "free_memory", lambda: 1000)
    layout = Layout((fake_device(platform, stats),) * 2, None)
    assert devices.memory_budget(layout, 0.5) == expected


def test_free_memory_is_positive_and_there_is_a_core():
    assert devices.free_memory() > 2**20
    assert devices.available_cores() >= 1


def test_without_proc_half_of_the_installed_memory_counts(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    pages = {"SC_PHYS_PAGES": 3 * 2**20, "SC_PAGE_SIZE": 2**12}
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert devices.free_memory() == 6 * 2**30
    pages["SC_PHYS_PAGES"] = -1
    assert devices.free_memory() == 4 * 2**30


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("outer", "inner", "expected"), [("max", "5000", 4300), ("900", "max", 200)]
)
def test_limits_of_control_groups(version, outer, inner, expected, tmp_path):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    line, root = "4:memory:/job/step\n", tmp_path / "memory"
    if version == 2:
        names = ("memory.max", "memory.current", "inactive_file")
        line, root = "0::/job/step\n", tmp_path
    for group, most in (("job", outer), ("job/step", inner)):
        (root / group).mkdir(parents=True)
        for name, text in zip(names, (most, "800", f"anon 1\n{names[2]} 100\n"), strict=True):
            (root / group / name.replace(names[2], "memory.stat")).write_text(text)
    (tmp_path / "cgroup").write_text("7:cpu,cpuacct:/other\n" + line)
    assert devices._group_memory(tmp_path / "cgroup", tmp_path) == [expected]
    assert devices._group_memory(tmp_path / "none", tmp_path) == []


def test_programs_are_dropped_near_the_limit_of_memory_maps():
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system has no list of memory maps")
    traces = []

    @jax.jit
    def double(x):
        traces.append(x)
        return 2 * x

    double(1.0)
    assert not devices.free_programs(1.0)
    double(1.0)
    assert len(traces) == 1
    assert devices.free_programs(0.0)
    assert double(1.0) == 2
    assert len(traces) == 2
