"""The table of tasks of the degeneracy studies."""

import rnnjax
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
