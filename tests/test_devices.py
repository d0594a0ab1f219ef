"""Runs on devices: every one is computed once, wherever it lands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax.devices import Layout, default_layout, pad_to


@pytest.mark.parametrize("map_width", [None, 1, 3])
@pytest.mark.parametrize("devices", [1, 2])
def test_map_is_a_loop(map_width, devices):
    layout = Layout(default_layout().devices[:devices], map_width)
    runs = {"a": jnp.arange(8.0), "b": jnp.arange(16).reshape(8, 2)}
    runs = jax.device_put(runs, layout.sharding())
    got = jax.jit(lambda r: layout.map(lambda one: one["a"] + one["b"], r))(runs)
    expected = [runs["a"][k] + np.asarray(runs["b"])[k] for k in range(8)]
    np.testing.assert_array_equal(got, expected)
    assert len(got.sharding.device_set) == devices


@pytest.mark.parametrize(
    ("devices", "map_width", "runs", "expected"),
    [(2, 1, 1, 4), (2, 1, 4, 4), (2, 1, 5, 6), (2, None, 1, 2), (2, None, 5, 6), (1, 1, 1, 2),
     (1, None, 1, 1)],
)  # fmt: skip
def test_padding(devices, map_width, runs, expected):
    """One run per device would be unrolled by XLA, and then rounds differently."""
    assert Layout(default_layout().devices[:devices], map_width).padded(runs) == expected


def test_padding_repeats_the_last_run():
    padded = pad_to(5, {"x": jnp.array([3, 1, 2])})
    assert padded["x"].tolist() == [3, 1, 2, 2, 2]


def test_layouts_are_specs_and_the_default_uses_every_core():
    assert default_layout() == default_layout()
    assert hash(default_layout()) == hash(default_layout())
    assert (len(default_layout().devices), default_layout().map_width) == (2, 1)
    assert default_layout(1, 3) == Layout(default_layout().devices[:1], 3)


def test_one_device_on_many_cores_gives_a_hint(monkeypatch):
    only = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: only)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    with pytest.warns(UserWarning, match=r'update\("jax_num_cpu_devices", 4\)'):
        default_layout()
    assert len(default_layout(devices=1).devices) == 1  # asked for: no hint
