"""The studies: the question of each, and where its settings and its code are."""

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from rnnjax.studies.settings import Settings
from rnnjax.validate import one_of

__all__ = ["STUDIES", "Study", "find_study"]


class Study(NamedTuple):
    """One study, the argument of `rnnjax run`."""

    name: str
    asks: str
    """The question that it answers."""
    source: str
    """What it reproduces, or what it is about."""
    place: str
    """Module and name of its settings."""
    run: Callable[..., object] | str
    """Called as `run(config, workdir, dry_run=..., command=...)`; or the name of a module with such
    a function, which is imported once the command line has been checked."""
    alone: bool = False
    """Whether it runs in this process alone, and takes no executor."""

    @property
    def settings(self) -> Settings:
        """Its settings and presets."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"rnnjax.studies.{module}"), name)


def _study(
    name: str, asks: str, source: str, place: str, module: str, *, alone: bool = False
) -> Study:
    return Study(name, asks, source, place, f"rnnjax.studies.{module}", alone)


_ALL = (
    _study(
        "lr_collapse",
        "Does the largest learning rate that trains a network fall with its size?",
        "collapse paper, Figs. 1B-3",
        "collapse.config:SETTINGS", "collapse.study",
    ),
    _study(
        "width_transfer",
        "Under which width rule does one learning rate serve every size?",
        "loss against learning rate at every size, one panel per width rule",
        "width_transfer.config:SETTINGS", "width_transfer.study",
    ),
    _study(
        "sharpness",
        "Does the curvature before training predict the largest learning rate of each size?",
        "beyond the collapse paper, which measures that rate but predicts none",
        "sharpness.config:SETTINGS", "sharpness.study",
    ),
    _study(
        "rescaling",
        "Do larger networks with weights W/N learn more slowly, and is it Adam's epsilon?",
        "collapse paper, Fig. 4",
        "rescaling.config:SETTINGS", "rescaling.study",
    ),
    _study(
        "latent",
        "Does size matter to training in latent variables, and what does it cost?",
        "collapse paper, Fig. 5",
        "latent.config:SETTINGS", "latent.study",
    ),
    _study(
        "population",
        "How many epochs do networks need to solve each of four tasks?",
        "populations trained to their thresholds, with outputs and losses",
        "degeneracy.population_config:POPULATION", "degeneracy.population",
    ),
    _study(
        "memory_demand",
        "How long a history does each task require?",
        "degeneracy paper, Fig. 9",
        "memory_demand.config:SETTINGS", "memory_demand.study", alone=True,
    ),
    _study(
        "task_complexity",
        "Do more complex tasks make solutions alike?",
        "degeneracy paper, Figs. 3-5 and 11",
        "degeneracy.config:TASK_COMPLEXITY", "degeneracy.task_complexity",
    ),
    _study(
        "feature_learning",
        "Does stronger feature learning make solutions alike?",
        "degeneracy paper, Figs. 6, 12, 16-19, 26-27",
        "degeneracy.config:FEATURE_LEARNING", "degeneracy.feature_learning",
    ),
    _study(
        "network_size",
        "Do larger networks find more similar solutions?",
        "degeneracy paper, Figs. 7, 13, 20-23, 28-29",
        "degeneracy.config:NETWORK_SIZE", "degeneracy.network_size",
    ),
    _study(
        "regularization",
        "Do penalties on the weights make solutions alike?",
        "degeneracy paper, Figs. 8, 14-15, 24-25",
        "degeneracy.config:REGULARIZATION", "degeneracy.regularization",
    ),
    _study(
        "training_stages",
        "Do networks become more or less alike while they learn?",
        "beyond the degeneracy paper: its measures at matched losses along training",
        "degeneracy.config:TRAINING_STAGES", "degeneracy.training_stages",
    ),
    _study(
        "solutions",
        "Which kinds of solutions do networks find, and does feature learning move their shares?",
        "beyond the degeneracy paper, whose limitations name it",
        "degeneracy.solutions_config:SOLUTIONS", "degeneracy.solutions", alone=True,
    ),
    _study(
        "summary",
        "Which arrows of Table 1 are found here? Reads the folders of the four factors' studies.",
        "degeneracy paper, Table 1",
        "degeneracy.config:SUMMARY", "degeneracy.table1", alone=True,
    ),
)  # fmt: skip

STUDIES: Mapping[str, Study] = MappingProxyType({study.name: study for study in _ALL})
"""Every study, by its name."""


def find_study(name: str) -> Study:
    """The study of a name; the error for an unknown one suggests the nearest."""
    return STUDIES[one_of("study", name, STUDIES)]
