"""The figure of a trial shows the trial that its key draws."""

import jax
import numpy as np
import pytest

from drawings import drawn
from rnnjax import tasks
from rnnjax.plots import trial


def figure_of(task, monkeypatch):
    """The figure of the trial of a key, and the trial itself, which is drawn once for both."""
    sampled, keys = task.sample(jax.random.key(3)), []
    monkeypatch.setattr(type(task), "sample", lambda _, key: keys.append(key) or sampled)
    figure = trial(task, seed=3)
    (key,) = keys
    assert key == jax.random.key(3)
    return figure, sampled


@pytest.mark.slow
@pytest.mark.parametrize("name", tasks.REGISTRY)
def test_lines_are_the_channels_of_the_trial(name, monkeypatch):
    figure, want = figure_of(tasks.make(name), monkeypatch)
    for axes, values in zip(drawn(figure).axes, (want.inputs, want.targets), strict=True):
        lines = [np.asarray(line.get_ydata()) for line in axes.get_lines()]
        np.testing.assert_array_equal(np.stack(lines, axis=1), values)


@pytest.mark.slow
def test_the_response_period_is_shaded_unless_it_is_the_whole_trial(monkeypatch):
    figure, shown = figure_of(tasks.delayed_discrimination(), monkeypatch)
    (shade,) = figure.axes[1].patches
    response = np.flatnonzero(np.all(np.asarray(shown.mask) > 0, axis=1))
    assert shade.get_x() == response[0] - 0.5
    assert shade.get_x() + shade.get_width() == response[-1] + 0.5
    assert not trial(tasks.flip_flop()).axes[1].patches


def test_other_arguments_are_rejected():
    with pytest.raises(ValueError, match="task: expected a Task"):
        trial("flip_flop")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="seed"):
        trial(tasks.flip_flop(), seed=-1)
