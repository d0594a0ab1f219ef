"""Targets and masks against NumPy, statistics of the inputs, and invalid parameters."""

import importlib

import jax
import numpy as np
import pytest

from oracles import targets as oracle
from rnnjax import tasks

KEY = jax.random.key(3)


def batch(task, trials=16):
    drawn = jax.jit(type(task).batch, static_argnums=(0, 2))(task, KEY, trials)
    return [np.asarray(part) for part in drawn]


def agree(trial, targets, mask):
    np.testing.assert_array_equal(trial[1], targets)
    np.testing.assert_array_equal(trial[2], mask)


@pytest.mark.parametrize(
    ("bits", "p", "steps"), [(1, 0.5, 1), (3, 0.05, 100), (2, 0.0, 9), (2, 0.7, 40), (4, 1.0, 9)]
)
def test_flip_flop(bits, p, steps):
    inputs, targets, mask = batch(tasks.flip_flop(bits, p, steps), trials=200)
    assert set(np.unique(inputs)) <= {-1, 0, 1}
    for trial in zip(inputs[:9], targets[:9], mask[:9], strict=True):
        agree(trial, *oracle.flip_flop(trial[0]))
    first, later = inputs[:, 0], inputs[:, 1:]
    assert np.all(first != 0)
    if steps > 1:
        assert abs(np.mean(later != 0) - p) <= 4 * np.sqrt(p * (1 - p) / later.size)
    for pulses in (first, later[later != 0]):  # their sign is fair
        if pulses.size:
            assert abs(np.mean(pulses > 0) - 0.5) < 4 * 0.5 / np.sqrt(pulses.size)


def test_accelerators_hold_the_same_pulses(monkeypatch):
    task = tasks.flip_flop(2, 0.1, 37)
    assert "scan[" in str(jax.make_jaxpr(lambda key: task.batch(key, 16).targets)(KEY))
    loop = task.batch(KEY, 16).targets
    monkeypatch.setattr(importlib.import_module("rnnjax.tasks.flip_flop"), "on_cpu", lambda: False)
    calls = str(jax.make_jaxpr(lambda key: task.batch(key, 16).targets)(KEY))
    assert calls.count("scan[") == 0
    np.testing.assert_array_equal(task.batch(KEY, 16).targets, loop)


@pytest.mark.parametrize("periods", [(1, 0, 1), (3, 5, 2)])
def test_delayed_cue(periods):
    cue, _, response = periods
    inputs, targets, mask = batch(tasks.delayed_cue(*periods))
    assert np.all(np.sort(inputs[:, :cue], axis=-1) == [0, 1])  # one-hot while shown
    assert np.all(inputs[:, :cue] == inputs[:, :1])
    assert np.all(inputs[:, cue:] == 0)
    assert mask.sum() == inputs.shape[0] * 2 * response
    for trial in zip(inputs, targets, mask, strict=True):
        agree(trial, *oracle.delayed_cue(trial[0], *periods))


@pytest.mark.parametrize("periods", [(1, 0, 1), (3, 5, 2)])
def test_delayed_match(periods):
    cue, delay, response = periods
    inputs, targets, mask = batch(tasks.delayed_match(*periods), trials=400)
    second = slice(cue + delay, 2 * cue + delay)
    for shown in (inputs[:, :cue], inputs[:, second]):
        assert np.all(np.sort(shown, axis=-1) == [0, 1])
        assert np.all(shown == shown[:, :1])
    silent = np.delete(inputs, np.r_[:cue, second], axis=1)
    assert np.all(silent == 0)
    assert mask.sum() == inputs.shape[0] * response
    pairs = 2 * inputs[:, 0, 1] + inputs[:, cue + delay, 1]
    counts = np.bincount(pairs.astype(int), minlength=4)
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 0.75))  # all four, equally often
    for trial in zip(inputs[:16], targets[:16], mask[:16], strict=True):
        agree(trial, *oracle.delayed_match(trial[0], *periods))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": 3, "auxiliary": True},
        {"channels": 2, "amplitudes": "continuous", "delays": "shared"},
        {"max_delay": 0, "min_delay": 0, "pulse": 1, "steps": 3, "lowest": 0, "highest": 1},
    ],
)
def test_delayed_discrimination(options):
    task = tasks.delayed_discrimination(**options)
    inputs, targets, mask = batch(task, trials=400)
    first = inputs[:, 0]
    assert np.all(inputs[:, : task.pulse] == inputs[:, :1])
    assert (first.min() >= task.lowest) and (inputs.max() <= task.highest)
    if task.lowest == 0:  # a pulse of 0 is silence, which the oracle cannot time
        np.testing.assert_array_equal(targets[:, 2], 1 - 2 * first)
        return
    for trial in zip(inputs[:40], targets[:40], mask[:40], strict=True):
        agree(trial, *oracle.delayed_discrimination(trial[0], task.pulse, task.auxiliary))
    delays = task.steps - mask[:, :, : task.channels].sum(axis=1) - 2 * task.pulse  # [B, C]
    assert (delays.min(), delays.max()) == (task.min_delay, task.max_delay)
    assert abs(delays.mean() - 12.5) < 4 * 4.6 / np.sqrt(len(delays))
    if task.channels > 1:
        assert np.all(delays[:, 0] == delays[:, 1]) == (task.delays == "shared")
    whole = np.all(inputs == np.round(inputs))
    assert whole == (task.amplitudes == "integers")
    second = inputs.sum(axis=1) / task.pulse - first
    assert np.all(np.abs(first - second) > 0)
    for amplitude in (first, second):  # both uniform over the range
        assert abs(amplitude.mean() - 6) < 4 * 2.6 / np.sqrt(amplitude.size)
        if whole:
            assert set(np.unique(amplitude)) == set(range(2, 11))
    # The second is uniform over what the first leaves: it is drawn, not derived.
    assert len(np.unique((second - first) % 9)) >= 8


@pytest.mark.parametrize("channels", [1, 2])
def test_sine_wave(channels):
    task = tasks.sine_wave(channels, frequencies=5, lowest=2.0, highest=10.0)
    inputs, targets, mask = batch(task, trials=200)
    assert np.all(inputs == inputs[:, :1])
    assert set(np.unique(inputs)) == {2, 4, 6, 8, 10}
    for trial in zip(inputs[:9], targets[:9], mask[:9], strict=True):
        want = oracle.sine_wave(trial[0], task.dt)
        np.testing.assert_allclose(trial[1], want[0], atol=3e-5)
        np.testing.assert_array_equal(trial[2], want[1])
    if channels > 1:
        assert np.any(inputs[:, 0, 0] != inputs[:, 0, 1])


def test_inputs_of_the_sine_wave():
    seen = {
        scale: batch(tasks.sine_wave(frequencies=2, scale=scale))[0]
        for scale in ("raw", "highest", "centered")
    }
    np.testing.assert_allclose(seen["highest"] * 30, seen["raw"], rtol=1e-6)
    np.testing.assert_allclose(seen["centered"] * 14.5 + 15.5, seen["raw"], rtol=1e-6)


@pytest.mark.parametrize(("dimensions", "units"), [(2, "half_side"), (3, "arena")])
def test_path_integration(dimensions, units):
    # A box that is left every few steps, so that walls are met often.
    task = tasks.path_integration(dimensions, arena=3.0, noise_std=0.0, units=units)
    unit = task.arena / 2 if units == "half_side" else 1.0
    inputs, targets, mask = batch(task, trials=200)
    speed, angles = inputs[:, :, dimensions - 1], inputs[:, :, : dimensions - 1]
    assert np.all(inputs[:, 1:, dimensions:] == 0)
    assert np.all((speed >= 0) & (speed <= np.float32(task.v_max)))
    assert np.all(np.abs(angles[..., 0]) <= np.pi + 1e-6)
    assert np.all(np.abs(angles[..., 1:]) <= np.pi / 2 + 1e-6)
    assert np.all(np.abs(targets) * unit <= task.arena / 2 + 1e-5)
    for trial in zip(inputs[:20], targets[:20], mask[:20], strict=True):
        want = oracle.path_integration(trial[0], dimensions, unit)
        np.testing.assert_allclose(trial[1], want[0], atol=1e-4)
        np.testing.assert_array_equal(trial[2], want[1])


# Speeds far from 0, so that only rest is shown as speed 0.
RESTING = tasks.path_integration(
    steps=400, mean_stop=3.0, mean_go=5.0, v_max=100.0, arena=1e5, speed_std=0.01, noise_std=0.0
)


def test_lengths_of_rests_and_bouts_of_path_integration():
    inputs, _, _ = batch(RESTING, trials=100)
    going = inputs[:, :, 1] > 0
    assert abs(going.mean() - 5 / 8) < 0.02
    stops = (going[:, :-1] & ~going[:, 1:]).sum() / going[:, :-1].sum()
    starts = (~going[:, :-1] & going[:, 1:]).sum() / (~going[:, :-1]).sum()
    assert abs(stops - 1 / 5) < 0.01
    assert abs(starts - 1 / 3) < 0.015


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_walk_is_a_random_walk_of_angles_and_speed(dimensions):
    # A box without walls, speeds far from their limits, and no rest.
    task = tasks.path_integration(
        dimensions, v_max=100.0, arena=1e6, mean_go=1e6, mean_stop=1.0, noise_std=0.0,
        direction_std=0.1, speed_std=0.2,
    )  # fmt: skip
    inputs, _, _ = batch(task, trials=100)
    angles, speed = inputs[:, :, : dimensions - 1], inputs[:, :, dimensions - 1]
    away = (speed.min(axis=1) > 0) & (speed.max(axis=1) < task.v_max)
    assert away.sum() > 80
    assert abs(np.diff(speed[away], axis=1).std() - 0.2) < 0.01
    turns = (np.diff(angles, axis=1) + np.pi) % (2 * np.pi) - np.pi
    assert abs(turns[..., 0].std() - 0.1) < 0.005
    assert abs(turns[..., 0].mean()) < 0.005
    if dimensions == 3:  # poles turn a few steps back
        inner = np.abs(angles[:, :-1, 1]) < np.pi / 2 - 0.5
        assert abs(turns[..., 1][inner].std() - 0.1) < 0.005
        start = np.sin(angles[:, 0, 1])  # uniform on the sphere: so is the height
        assert abs(start.std() - 1 / np.sqrt(3)) < 0.1


def test_a_walker_at_rest_keeps_heading_and_speed():
    inputs, targets, _ = batch(RESTING, trials=100)
    heading, speed = inputs[:, :, 0], inputs[:, :, 1]
    resting = speed[:, 1:] == 0
    assert np.all(heading[:, 1:][resting] == heading[:, :-1][resting])
    assert np.all(targets[:, 1:][resting] == targets[:, :-1][resting])
    resumed = []
    for pace in speed:
        going = np.flatnonzero(pace)
        across = np.flatnonzero(np.diff(going) > 1)  # the last step before, the first after a rest
        resumed += list(pace[going[across + 1]] - pace[going[across]])
    assert len(resumed) > 100
    assert np.abs(resumed).max() < 5 * 0.01


def test_start_positions_are_uniform_in_the_box():
    task = tasks.path_integration(noise_std=0.0, arena=3.0)
    start = batch(task, trials=200)[0][:, 0, 2:]  # over half a side
    assert np.all(np.abs(start) <= 1)
    assert np.all(np.abs(start.mean(axis=0)) < 4 / np.sqrt(3 * len(start)))
    assert np.all(np.abs(start.std(axis=0) - 1 / np.sqrt(3)) < 0.08)


@pytest.mark.slow
def test_encodings_of_the_motion_and_the_start_position():
    def drawn(**options):
        return batch(tasks.path_integration(arena=3.0, **options), trials=200)

    inputs, targets, _ = drawn(noise_std=0.0)
    velocity, same, _ = drawn(noise_std=0.0, encoding="velocity", start="held")
    np.testing.assert_allclose(targets, same, atol=1e-5)
    start = velocity[:, :, 2:]
    assert np.all(start == start[:, :1])
    np.testing.assert_array_equal(start[:, 0], inputs[:, 0, 2:])
    moved = np.cumsum(velocity[:, :, :2], axis=1) / 1.5  # over half a side
    np.testing.assert_allclose(start + moved, same, atol=1e-4)
    alone = drawn(noise_std=0.0, start="none")[0]
    np.testing.assert_allclose(alone, inputs[:, :, :2], atol=1e-6)
    noisy = drawn(noise_std=1e-3)
    np.testing.assert_allclose(noisy[1], targets, atol=1e-5)  # the noise is on the inputs only
    assert abs(np.std(noisy[0][:, :, :2] - inputs[:, :, :2]) - 1e-3) < 1e-4


def test_default_periods():
    assert tasks.delayed_cue().steps == 36
    assert tasks.delayed_match().steps == 42
    assert (tasks.flip_flop().bits, tasks.flip_flop().p, tasks.flip_flop().steps) == (3, 0.05, 100)
    studied = ("delayed_cue", "delayed_match", "flip_flop")
    criteria = [tasks.make(name).criterion for name in studied]
    assert criteria == [0.75, 0.75, 0.9]


def test_default_specs():
    assert tasks.delayed_discrimination() == tasks.DelayedDiscrimination(
        channels=1, max_delay=20, min_delay=5, pulse=5, length=60, lowest=2, highest=10
    )
    assert tasks.delayed_discrimination(max_delay=40).steps == 80
    assert tasks.sine_wave() == tasks.SineWave(1, 100, 1.0, 30.0, 0.01, 100)
    assert tasks.path_integration() == tasks.PathIntegration(
        2, 100, 0.4, np.pi / 10, 0.1, 1e-4, 30.0, 50.0, 10.0
    )


def test_unknown_options_suggest_the_nearest():
    with pytest.raises(ValueError, match="options: .*did you mean 'arena'"):
        tasks.path_integration(arenas=3.0)
    with pytest.raises(ValueError, match="options: .*did you mean 'pulse'"):
        tasks.delayed_discrimination(pulses=3)
    with pytest.raises(ValueError, match="options: .*steps.*did you mean 'max_delay'"):
        tasks.delayed_discrimination(max_dely=40)
    with pytest.raises(ValueError, match="options: expected .* got 'length'"):
        tasks.path_integration(length=40)
    assert tasks.delayed_discrimination(pulse=7).steps == 64


def test_a_given_length_determines_the_delay():
    assert tasks.delayed_cue(6, None, 10, steps=30) == tasks.delayed_cue(6, 14, 10)
    assert tasks.delayed_match(6, response=10, steps=30) == tasks.delayed_match(6, 8, 10)


def test_stretching_lengthens_memory_periods():
    assert tasks.delayed_cue(3, 5, 2).stretched(2) == tasks.delayed_cue(3, 10, 2)
    assert tasks.delayed_match(3, 5, 2).stretched(1.5) == tasks.delayed_match(3, 8, 2)
    assert tasks.flip_flop(2, 0.1, 10).stretched(2) == tasks.flip_flop(2, 0.1, 20)
    wider = tasks.delayed_discrimination(2, stretches="longest").stretched(2)
    assert (wider.min_delay, wider.max_delay, wider.steps) == (5, 40, 80)
    pulses = tasks.delayed_discrimination(2).stretched(2)
    assert pulses == tasks.delayed_discrimination(2, min_delay=10, max_delay=40, steps=80)
    assert tasks.sine_wave(2).stretched(2) == tasks.sine_wave(2, steps=200)
    assert tasks.path_integration(3).stretched(2) == tasks.path_integration(3, steps=200)


@pytest.mark.parametrize(
    ("task", "factor"),
    [
        (tasks.delayed_cue(delay=0), 2.0),
        (tasks.delayed_match(delay=0), 2.0),
        (tasks.delayed_discrimination(max_delay=0, min_delay=0), 2.0),
        (tasks.flip_flop(steps=10), 1.01),
    ],
)
def test_a_factor_that_changes_nothing_is_refused(task, factor):
    """Losses on the stretched task would be those of the training distribution."""
    assert task.stretched(1.0) == task
    with pytest.raises(tasks.VariantError, match=f"^factor: .*'{task.name}'"):
        task.stretched(factor)


@pytest.mark.parametrize("factor", [1e308, 2e9])
def test_a_factor_beyond_what_programs_can_count_is_named(factor):
    with pytest.raises(ValueError, match="^factor: expected at most 41297762 for 52 steps"):
        tasks.delayed_cue(delay=52).stretched(factor)
    assert tasks.delayed_cue(delay=52).stretched(41297762).delay == 52 * 41297762


@pytest.mark.parametrize(
    ("task", "options", "named"),
    [
        ("flip_flop", {"bits": 0}, "bits"),
        ("flip_flop", {"bits": -3}, "bits"),
        ("flip_flop", {"bits": 2.0}, "bits"),
        ("flip_flop", {"p": 1.5}, "p"),
        ("flip_flop", {"p": float("nan")}, "p"),
        ("flip_flop", {"steps": 0}, "steps"),
        ("delayed_discrimination", {"channels": 0}, "channels"),
        ("delayed_discrimination", {"pulse": 0}, "pulse"),
        ("delayed_discrimination", {"max_delay": 4}, "max_delay"),
        ("delayed_discrimination", {"max_delay": 50, "steps": 60}, "max_delay"),
        ("delayed_discrimination", {"steps": 5}, "steps"),
        ("delayed_discrimination", {"steps": 15, "max_delay": 5}, "steps"),
        ("delayed_discrimination", {"min_delay": 60}, "max_delay"),
        ("delayed_discrimination", {"lowest": 10}, "highest"),
        ("delayed_discrimination", {"amplitudes": "integer"}, "amplitudes"),
        ("delayed_discrimination", {"delays": "none"}, "delays"),
        ("delayed_discrimination", {"auxiliary": 1}, "auxiliary"),
        ("sine_wave", {"channels": 0}, "channels"),
        ("sine_wave", {"frequencies": 0}, "frequencies"),
        ("sine_wave", {"steps": 1}, "steps"),
        ("sine_wave", {"lowest": float("nan")}, "lowest"),
        ("sine_wave", {"lowest": 40.0}, "highest"),
        ("sine_wave", {"highest": 50.0}, "highest"),
        ("sine_wave", {"dt": 0}, "dt"),
        ("sine_wave", {"scale": "log"}, "scale"),
        ("sine_wave", {"frequencies": 1, "highest": 1.0, "scale": "centered"}, "scale"),
        ("sine_wave", {"frequencies": 1, "scale": "centered"}, "scale"),
        ("path_integration", {"dimensions": 4}, "dimensions"),
        ("path_integration", {"steps": 0}, "steps"),
        ("path_integration", {"v_max": 0}, "v_max"),
        ("path_integration", {"speed_std": -0.1}, "speed_std"),
        ("path_integration", {"mean_go": 0.5}, "mean_go"),
        ("path_integration", {"arena": 0.7}, "arena"),
        ("path_integration", {"units": "meters"}, "units"),
        ("path_integration", {"encoding": "angles"}, "encoding"),
        ("path_integration", {"start": "pulsed"}, "start"),
        *[
            (name, options, named)
            for name in ("delayed_cue", "delayed_match")
            for options, named in [
                ({"cue": 0}, "cue"),
                ({"delay": -1}, "delay"),
                ({"response": 0}, "response"),
                ({"response": 40, "steps": 30}, "response"),
                ({"response": -1, "steps": 30}, "response"),
                ({"response": "10", "steps": 36}, "response"),
                ({"steps": 0}, "steps"),
                ({"delay": 5, "steps": 36}, "delay"),
                ({"cue": -1, "steps": 30}, "cue"),
            ]
        ],
    ],
)
def test_invalid_parameters_are_named(task, options, named):
    with pytest.raises(ValueError, match=rf"^{named}: expected .* got ") as error:
        tasks.make(task, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("trials", [0, -1, 2.5])
def test_a_number_of_trials_below_one_is_named(trials):
    with pytest.raises(ValueError, match="^trials: expected"):
        tasks.delayed_cue().batch(KEY, trials)
