"""The figure of outputs shows the numbers it was given."""

import jax
import numpy as np

from drawings import drawn, panels
from rnnjax import tasks
from rnnjax.plots import answers
from rnnjax.tasks import Trial


def test_answers_lie_over_their_targets():
    task = tasks.flip_flop(2, 0.3, 9)
    trial = Trial(*(np.asarray(part) for part in task.sample(jax.random.key(0))))
    outputs = np.random.default_rng(0).normal(size=(3, 9, 2))
    inputs, *others = panels(drawn(answers(trial, outputs, "Flip flop")))
    np.testing.assert_array_equal([line.get_ydata() for line in inputs.lines], trial.inputs.T)
    assert len(others) == 2
    for channel, axes in enumerate(others):
        lines = [line.get_ydata() for line in axes.lines]
        np.testing.assert_array_equal(lines, [trial.targets[:, channel], *outputs[..., channel]])
        assert axes.lines[0].get_color() == "black"
