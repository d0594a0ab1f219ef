"""The figure of a trial shows the trial that its key draws."""

import jax
import numpy as np
import pytest

from drawings import drawn
from rnnjax import tasks
from rnnjax.plots import trial


@pytest.mark.slow
@pytest.mark.parametrize("name", tasks.REGISTRY)
def test_lines_are_the_channels_of_the_trial(name):
    task = tasks.make(name)
    figure = drawn(trial(task, seed=3))
    want = task.sample(jax.random.key(3))
    for axes, values in zip(figure.axes, (want.inputs, want.targets), strict=True):
        lines = [np.asarray(line.get_ydata()) for line in axes.get_lines()]
        np.testing.assert_array_equal(np.stack(lines, axis=1), values)


@pytest.mark.slow
def test_the_response_period_is_shaded_unless_it_is_the_whole_trial():
    task = tasks.delayed_discrimination()
    (shade,) = trial(task, seed=3).axes[1].collections
    steps = shade.get_paths()[0].vertices[:, 0]
    response = np.flatnonzero(np.all(np.asarray(task.sample(jax.random.key(3)).mask) > 0, axis=1))
    assert abs(steps.min() - response[0]) <= 0.5
    assert abs(steps.max() - response[-1]) <= 0.5
    assert not trial(tasks.flip_flop()).axes[1].collections


def test_other_arguments_are_rejected():
    with pytest.raises(ValueError, match="task: expected a Task"):
        trial("flip_flop")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="seed"):
        trial(tasks.flip_flop(), seed=-1)
