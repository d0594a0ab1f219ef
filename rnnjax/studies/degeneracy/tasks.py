"""The tasks of the degeneracy studies, one entry each: options, training and channels."""

from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["TASKS", "StudyTask"]


class StudyTask(NamedTuple):
    """Settings of one task."""

    stream: int
    """Folded into the key of the task's measures, hence part of every published number: a new task
    takes a new number, and none changes."""
    channels: str
    """The field of the task that counts its channels."""
    options: dict[str, Any]
    """Fields of the task that a config may set, with their defaults."""
    training: dict[str, Any]
    """Learning rate, batch, largest number of epochs, threshold, schedule; tau and `mup_rate` of
    networks under muP."""
    usual: dict[str, int]
    """Median epochs to the threshold in committed runs, by rule, for estimates of the time."""


def _training(
    learning_rate: float,
    batch: int,
    epochs: int,
    threshold: float,
    *,
    tau: float,
    schedule: str = "none",
    mup_rate: float = 1e-2,
) -> dict[str, Any]:
    return {
        "learning_rate": learning_rate,
        "mup_rate": mup_rate,
        "batch": batch,
        "epochs": epochs,
        "threshold": threshold,
        "schedule": schedule,
        "tau": tau,
    }


# Appendix B of Huang et al., except the `mup_rate` of the first three tasks: the table that lists
# tau lists the same rates as for the standard networks, 1e-3 and 5e-4; at 1e-3 muP networks of
# gamma 1 learn slowly. At 1e-2 none of 16 on the sine wave learns at gamma 2 and 4 in 300 epochs.
TASKS = MappingProxyType(
    {
        "flip_flop": StudyTask(
            stream=0,
            channels="bits",
            options={"bits": 3, "p": 0.3, "steps": 100},
            training=_training(1e-3, 256, 300, 0.001, tau=1.0),
            usual={"standard": 15, "mup": 11},
        ),
        "delayed_discrimination": StudyTask(
            stream=1,
            channels="channels",
            options={
                "channels": 1, "max_delay": 20, "steps": None, "amplitudes": "integers",
                "auxiliary": False, "stretches": "both",
            },
            training=_training(1e-3, 256, 500, 0.01, schedule="cosine_restarts", tau=0.1),
            usual={"standard": 19, "mup": 180},
        ),
        "sine_wave": StudyTask(
            stream=2,
            channels="channels",
            options={"channels": 1, "frequencies": 100, "highest": 30, "steps": 100},
            training=_training(5e-4, 32, 500, 0.05, tau=1.0, mup_rate=3e-3),
            usual={"standard": 31, "mup": 240},
        ),
        "path_integration": StudyTask(
            stream=3,
            channels="dimensions",
            options={"dimensions": 2, "steps": 100},
            training=_training(1e-3, 64, 1000, 0.05, schedule="plateau", tau=0.1, mup_rate=1e-3),
            usual={"standard": 33, "mup": 107},
        ),
    }
)  # fmt: skip
"""Every task, by its registered name."""
