"""Origin of a page and the closing sections of reports of sweeps."""

import re

import numpy as np
import pytest

from populations import sweep, without
from rnnjax.report.provenance import (
    Provenance,
    criterion_text,
    incomplete,
    runs_section,
    settings_section,
    status_table,
    steps_taken,
)


@pytest.fixture(scope="module")
def data():
    return sweep(sizes=(10, 100), rates=10.0 ** np.arange(-4, 1), seeds=2)


def test_provenance_rows_are_command_duration_and_versions():
    made = Provenance("python x.py", {"seeds": 3}, {"jax": "0.8"}, seconds=65.0)
    assert made.rows("fitting") == (
        ("command", "python x.py"),
        ("fitting took", "1 min 5 s"),
        ("jax", "0.8"),
    )
    assert Provenance("python x.py").rows() == (("command", "python x.py"),)


def test_settings_that_a_command_changes():
    command = "python x.py --config=smoke --config.training.a.epochs=300 --workdir=runs/b"
    assert Provenance(command).changed() == "config = smoke; training.a.epochs = 300"
    spaced = (
        "rnnjax run x --config smoke --workdir runs -config.a.b 1,2 --config.c= --config.on --n"
    )
    assert Provenance(spaced).changed() == "config = smoke; a.b = 1, 2; c = ; on = True"
    assert Provenance("x --noconfig.on --config.b").changed() == "on = False; b = True"
    assert Provenance("run(config, workdir)").changed() == Provenance("it's").changed() == ""


def test_criterion_text_names_the_tasks(data):
    assert criterion_text(sweep(("delayed_match", "flip_flop"), sizes=(10,), seeds=1)) == (
        "held-out decision accuracy above 0.75 (delayed matching), 0.9 (the flip-flop task)"
    )
    one = data.isel(task=0, drop=True).assign_coords(criterion=0.75)
    assert criterion_text(one) == "held-out decision accuracy above 0.75"


def test_steps_are_those_of_the_longest_run(data):
    shorter = data.assign(steps_taken=data["steps_taken"] // 2)
    assert steps_taken(data) == "400"
    assert steps_taken(shorter) == "200"
    assert steps_taken(without(data, data["seed"] < 0)) == "400"  # the recorded steps


def test_a_sweep_is_incomplete_while_a_size_has_no_run(data):
    assert not incomplete(data)
    assert not incomplete(without(data, data["seed"] == 0))
    assert incomplete(without(data, data["hidden"] == 10))


def test_statuses_are_counted_by_condition(data):
    half = without(data, data["seed"] == 0)
    table = status_table(half)
    assert table.columns == ("condition", "pending", "diverged", "exhausted")
    explained = re.findall(r"(\w+):", table.caption)
    assert [kind.lower() for kind in explained] == ["pending", "diverged", "exhausted"]
    rows = {row[0]: tuple(int(cell) for cell in row[1:]) for row in table.rows}
    assert set(rows) == {
        f"{task}, {optimizer}"
        for task in ("Delayed cue", "Delayed match")
        for optimizer in ("Adam", "SGD")
    }
    for task, optimizer in (("cue", "adam"), ("match", "sgd")):
        codes = half["status"].sel(task=f"delayed_{task}", optimizer=optimizer).values
        name = {"adam": "Adam", "sgd": "SGD"}[optimizer]
        want = tuple(int((codes == code).sum()) for code in (0, 3, 4))
        assert rows[f"Delayed {task}, {name}"] == want
    assert sum(sum(counts) for counts in rows.values()) == half["status"].size
    assert runs_section(half).tables == (table,)
    alone = status_table(half.isel(task=0, optimizer=0, drop=True))
    assert [row[0] for row in alone.rows] == ["all runs"]


def test_settings_are_flattened():
    settings = {"task": {"name": "flip_flop", "bits": 3}, "rates": (0.1, 1e-7), "store": None}
    (table,) = settings_section(settings).tables
    assert table.rows == (
        ("task.name", "flip_flop"),
        ("task.bits", "3"),
        ("rates", "0.1, 1e-07"),
        ("store", "None"),
    )
