"""Which runs take further steps."""

import jax
import numpy as np

from rnnjax.sweep.states import packed, running_again
from rnnjax.training import Hyper, Run, Status


def test_only_runs_that_took_all_steps_go_on():
    ended = [Status.CONVERGED, Status.DIVERGED, Status.EXHAUSTED, Status.EXHAUSTED]
    leaf = np.zeros(4, "f4")
    runs = Run(
        hyper=Hyper(*[leaf] * len(Hyper._fields)), params={"w": np.ones((4, 2), "f4")},
        optimizer_state=(), step=leaf, status=np.array(ended, np.int32), accuracy=leaf,
        excess_loss=leaf, reached=leaf,
    )  # fmt: skip
    found = running_again(packed(runs, np.zeros((4, 3)), None), runs)
    expected = [Status.CONVERGED, Status.DIVERGED, Status.RUNNING, Status.RUNNING]
    assert found.status.tolist() == expected
    jax.tree.map(np.testing.assert_array_equal, found._replace(status=runs.status), runs)
