"""The table of tasks of the degeneracy studies."""

from types import SimpleNamespace

import rnnjax
from commands import settings
from rnnjax import Status
from rnnjax.studies.degeneracy import task_complexity
from rnnjax.studies.degeneracy.tasks import TASKS


def test_stream_numbers_are_those_of_the_published_numbers():
    """They enter the random keys of all measures: another number changes every report."""
    streams = {name: task.stream for name, task in TASKS.items()}
    published = {
        "flip_flop": 0, "delayed_discrimination": 1, "sine_wave": 2, "path_integration": 3
    }  # fmt: skip
    assert published.items() <= streams.items()
    assert len(set(streams.values())) == len(streams)


def test_options_and_channels_are_fields_of_the_task():
    for name, entry in TASKS.items():
        task = rnnjax.tasks.make(name, **entry.options)
        assert entry.channels in entry.options
        assert vars(task).items() >= {(entry.channels, entry.options[entry.channels])}


def test_tasks_without_fixed_points_to_search_make_a_report():
    config = settings("task_complexity", "laptop")
    config.tasks = ("sine_wave", "path_integration")
    made = [c for factor in task_complexity.factors(config) for c in factor.conditions]
    trained = {c.name: SimpleNamespace(status=(Status.CONVERGED,)) for c in made}
    assert task_complexity._search(config, trained) is None
