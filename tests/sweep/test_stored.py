"""Sweeps are rebuilt from the manifests of their stores."""

import dataclasses

import pytest

import rnnjax
import tiny
from rnnjax import StoreError, cells, parametrization, tasks
from rnnjax.store import ResultStore, load_weights, merge, read_manifest
from rnnjax.sweep import Engine, empty_results, load_sweep, sweep_config
from rnnjax.training import SCHEDULES


def reloaded(sweep, path, engine=None):
    """The sweep, loaded from its empty store."""
    engine = engine or Engine()
    template = empty_results(sweep, engine.points, engine.spacing)
    with ResultStore(path, template, sweep_config(sweep, engine)):
        pass
    return load_sweep(path)


def cases():
    axes = {"learning_rate": (0.1, 1), "seed": (0, 4)}
    for name in tasks.REGISTRY:
        yield rnnjax.Sweep(tasks.make(name), cells.rate(4), axes=axes)
    for name in cells.REGISTRY:
        yield rnnjax.Sweep(tasks.make("delayed_cue"), cells.make(name, hidden=8), axes=axes)
    for name in cells.STRUCTURES:
        cell = cells.structured(4, structure=name, cell=cells.current(tau=0.5))
        yield rnnjax.Sweep(tasks.make("delayed_cue"), cell, axes=axes)
    for name, rule in parametrization.REGISTRY.items():
        cell = cells.rate(4, parametrization=parametrization.make(name))
        recipe = rnnjax.Recipe(rule.optimizers[0])
        yield rnnjax.Sweep(tasks.make("delayed_cue"), cell, recipe, axes)
    for kind in SCHEDULES.values():
        recipe = rnnjax.Recipe.until(0.1, schedule=kind(), penalties=("l1", "nuclear"))
        yield rnnjax.Sweep(
            tasks.make("sine_wave"), cells.rate(4), recipe, {**axes, "l1": (0, 1e-5)}
        )
    stretched = tasks.delayed_discrimination().stretched(1.5)
    axes |= {"task": {"long": stretched}, "batch": (3, 4), "init": ("gaussian", "xavier")}
    yield rnnjax.Sweep(cell=cells.rate(4), recipe=tiny.recipe(clip=0.5), axes=axes)


@pytest.mark.parametrize("sweep", list(cases()), ids=lambda s: f"{s.cell.name}-{len(s.dimensions)}")
def test_every_registered_spec_is_rebuilt(sweep, tmp_path):
    assert reloaded(sweep, tmp_path / "store", Engine(points=7, spacing="log")) == sweep


def test_a_custom_spec_is_rebuilt_while_its_class_exists(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Cued(tasks.DelayedCue):
        """Found by its name."""

    sweep = rnnjax.Sweep(Cued(2, 3, 2), cells.rate(4), axes={"learning_rate": [1], "seed": [0]})
    assert reloaded(sweep, tmp_path / "store") == sweep


def test_two_classes_of_one_name_are_an_error_for_their_stores_only(tmp_path):
    def defined(place):
        @dataclasses.dataclass(frozen=True)
        class Twice(tasks.DelayedCue):
            """One of two."""

        Twice.__qualname__ = place
        return Twice

    first, second = defined("here"), defined("there")
    assert first is not second
    axes = {"learning_rate": [1], "seed": [0]}
    sweep = rnnjax.Sweep(first(2, 3, 2), cells.rate(4), axes=axes)
    with pytest.raises(StoreError, match="several classes are called 'Twice': .*here and .*there"):
        reloaded(sweep, tmp_path / "store")
    ours = rnnjax.Sweep(tiny.TASKS["delayed_cue"], cells.rate(4), axes=axes)
    assert reloaded(ours, tmp_path / "ours") == ours


def test_a_custom_class_does_not_replace_one_of_rnnjax(tmp_path):
    sweep = rnnjax.Sweep(tiny.TASKS["delayed_cue"], cells.rate(4), axes=tiny.sweep().axes)

    @dataclasses.dataclass(frozen=True)
    class DelayedCue(tasks.DelayedCue):
        """Not the one that was stored."""

    assert DelayedCue(2, 3, 2) != sweep.task
    assert type(reloaded(sweep, tmp_path / "store").task) is tasks.DelayedCue


def test_a_folder_without_a_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="^store: expected a results store, found no"):
        load_sweep(tmp_path)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("store", lambda: load_sweep(None)),
        ("store", lambda: rnnjax.load_parameters(5)),
        ("store", lambda: load_weights(5, [[0]])),
        ("path", lambda: read_manifest(5)),
        ("into", lambda: merge("one", into=2)),
        ("first", lambda: merge(1, into="new")),
        ("others", lambda: merge("one", None, into="new")),
    ],
)
def test_what_is_no_path_is_named(name, call):
    with pytest.raises(ValueError, match=f"^{name}: expected the path of a folder, got"):
        call()
