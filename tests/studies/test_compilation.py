"""The compilation cache changes waiting times and nothing else."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import tiny
from rnnjax import cells
from rnnjax.studies import compilation, launch
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.compilation import VARIABLE, cache_folder, use_compilation_cache
from rnnjax.training import Hyper, Setup, advance, initial_params, start

OPTIONS = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch):
    """No settings from outside; those of JAX are restored."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_the_flag_wins_over_the_variable_over_the_default(monkeypatch, tmp_path):
    default = cache_folder()
    assert default is not None and default.parts[-3:-1] == ("rnnjax", "compiled")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "variable"))
    assert cache_folder() == tmp_path / "variable" / default.name
    assert cache_folder(str(tmp_path / "flag")) == tmp_path / "flag" / default.name
    assert cache_folder("off") is None
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder() is None


def test_each_kind_of_processor_has_its_own_folder(monkeypatch, tmp_path):
    here = cache_folder(str(tmp_path))
    monkeypatch.setattr(Path, "exists", lambda self: False)
    monkeypatch.setattr(compilation.platform, "processor", lambda: "another")
    assert cache_folder(str(tmp_path)) != here


def test_the_cache_of_jax_stays_where_it_is_set(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax"))
    before = jax.config.jax_compilation_cache_dir
    assert use_compilation_cache() == tmp_path / "jax"
    assert jax.config.jax_compilation_cache_dir == before


def test_a_folder_that_cannot_be_used_costs_a_warning(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert use_compilation_cache(str(tmp_path / "file")) is None
    assert "no compilation cache in" in capsys.readouterr().err


@functools.partial(jax.jit, static_argnums=0)
def trained(setup, params):
    run = start(setup, Hyper(jnp.float32(0.01), 0, 1.0), params)
    return advance(setup, run, tiny.STEPS)


def train() -> list[np.ndarray]:
    """Results of two programs, which are compiled or read from the cache."""
    jax.clear_caches()
    cell = cells.rate(6, inputs=2, outputs=2)
    setup = Setup(tiny.TASKS["delayed_cue"], cell, tiny.recipe("sgd"), tiny.TRIALS)
    params = jax.jit(initial_params, static_argnums=0)(cell, 0)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained(setup, params))]


@pytest.mark.slow
def test_results_are_the_same_without_a_cache_cold_warm_and_damaged(monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "SHORTEST", 0.0)
    use_compilation_cache("off")
    compilation_cache.reset_cache()
    without = train()
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()
    folder = use_compilation_cache(str(tmp_path))
    assert folder is not None
    cold = train()
    entries = [file for file in folder.iterdir() if file.name.endswith("-cache")]
    assert len(entries) >= 2
    warm = train()
    assert {file for file in folder.iterdir() if file.name.endswith("-cache")} == set(entries)
    for number, file in enumerate(entries):  # half of them cut short, half of another format
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if number % 2 else b"not a program")
    with pytest.warns(UserWarning, match="compilation cache"):
        damaged = train()
    for found in (cold, warm, damaged):
        for value, expected in zip(found, without, strict=True):
            np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("off", [False, True])
def test_scripts_use_the_cache_of_the_flag(off, tmp_path):
    seen = []

    def run(config, workdir, *, dry_run, command):
        seen.append((jax.config.jax_enable_compilation_cache, jax.config.jax_compilation_cache_dir))

    study = STUDIES["lr_collapse"]._replace(run=run)
    launch.start(study, [f"--compilation_cache={'off' if off else tmp_path}"])
    ((enabled, folder),) = seen
    assert enabled == (not off)
    assert off or Path(folder).parent == tmp_path
