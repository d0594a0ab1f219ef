"""Descriptions of specs: plain, complete, comparable; and files that are complete or absent."""

import dataclasses
import json

import numpy as np
import pytest

import tiny
from rnnjax import Status, tasks
from rnnjax.store import (
    describe,
    digest,
    first_difference,
    read_checked,
    write_atomically,
    write_checked,
)
from rnnjax.store.manifest import rebuild
from rnnjax.sweep import Engine, sweep_config


def test_a_description_is_json_and_names_every_field():
    described = describe(tiny.sweep())
    assert json.loads(json.dumps(described)) == described
    assert described["type"] == "Sweep"
    assert described["cell"]["type"] == "Rate"
    assert described["cell"]["parametrization"] == {"type": "Standard", "init": "gaussian"}
    for field in dataclasses.fields(tiny.sweep().recipe):
        if field.metadata.get("later"):
            continue
        assert described["recipe"][field.name] == describe(getattr(tiny.sweep().recipe, field.name))
    assert described["recipe"]["steps_per_epoch"] == 1
    assert described["recipe"]["schedule"] == {"type": "Constant"}


def test_plain_data_stays_plain():
    value = {"a": (1, np.float32(0.5)), "b": np.arange(2), 3: Status.DIVERGED, "c": None}
    assert describe(value) == {"a": [1, 0.5], "b": [0, 1], "3": "DIVERGED", "c": None}
    with pytest.raises(TypeError, match="describe: expected plain data or a dataclass"):
        describe(lambda: None)
    with pytest.raises(TypeError, match="describe"):
        describe(Status)


def test_fields_that_came_later_are_described_where_they_are_not_the_default():
    plain, wider = (tasks.delayed_discrimination(stretches=s) for s in ("both", "longest"))
    assert "stretches" not in describe(plain)
    assert describe(wider) == {**describe(plain), "stretches": "longest"}
    kinds = {"DelayedDiscrimination": type(plain)}
    for task in (plain, wider):
        assert rebuild(describe(task), kinds) == task


def test_the_digest_ignores_only_the_order_of_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    different = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": 1.5}, {"a": [1]}, {"a": None}]
    assert len({digest(value) for value in different}) == len(different)


def test_the_first_difference_is_named_by_its_path():
    old = {"a": 1, "b": {"c": [1, 2], "d": 3}, "e": 4}
    assert first_difference(old, json.loads(json.dumps(old))) is None
    assert first_difference(old, {**old, "b": {"c": [1, 3], "d": 9}}) == ("b.c", [1, 2], [1, 3])
    assert first_difference(old, {**old, "new": 5}) == ("new", None, 5)
    assert first_difference({**old, "gone": 5}, old) == ("gone", 5, None)
    assert first_difference(old, {**old, "b": 7}) == ("b", old["b"], 7)


@pytest.mark.parametrize(
    "other",
    [
        tiny.sweep("flip_flop"),
        tiny.sweep(axes={"seed": (0, 2)}),
        tiny.sweep(axes={"hidden": (5,)}),
        tiny.sweep(eps=1e-7),
        dataclasses.replace(tiny.sweep(), evaluation_trials=13),
        dataclasses.replace(tiny.sweep(), cell=dataclasses.replace(tiny.CELL, alpha=0.51)),
    ],
)
def test_different_sweeps_have_different_configs(other):
    one, two = sweep_config(tiny.sweep(), Engine()), sweep_config(other, Engine())
    assert digest(one) != digest(two)
    assert first_difference(one, two) is not None


def test_only_the_recorded_steps_of_the_engine_are_in_the_config():
    base = sweep_config(tiny.sweep(), Engine())
    assert sweep_config(tiny.sweep(), Engine(devices=1, block_runs=3, segment=2)) == base
    assert first_difference(base, sweep_config(tiny.sweep(), Engine(points=7)))[0] == "points"
    assert first_difference(base, sweep_config(tiny.sweep(), Engine(spacing="log")))[0] == "spacing"


def test_files_are_written_completely_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write_atomically(file, "old")

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
    assert file.read_text() == "old"
    monkeypatch.undo()
    write_atomically(file, "new")
    assert file.read_text() == "new"


@pytest.mark.slow
def test_every_flipped_bit_of_a_checked_file_is_found(tmp_path):
    values = {"study": "latent", "rows": [1, 2.5, None], "name": "é"}
    file = tmp_path / "study.json"
    write_checked(file, values)
    assert read_checked(file) == values
    content, found = file.read_bytes(), 0
    for position in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            file.write_bytes(changed)
            try:
                assert read_checked(file) == values  # a space, perhaps
            except ValueError:
                found += 1
    assert found > 7 * len(content)


def test_a_file_without_a_digest_is_read_as_it_is(tmp_path):
    (tmp_path / "old.json").write_text('{"study": "latent"}')
    assert read_checked(tmp_path / "old.json") == {"study": "latent"}
    (tmp_path / "old.json").write_text("[1]")
    with pytest.raises(ValueError, match="holds no values"):
        read_checked(tmp_path / "old.json")
