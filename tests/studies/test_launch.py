"""The command line that all studies share: flags, presets, config files."""

import importlib
import importlib.util
from typing import get_args, get_type_hints

import pytest

from commands import EXPERIMENTS, call, refused
from rnnjax.analysis.options import Lag, Moving
from rnnjax.cells.latent import Readout
from rnnjax.cells.rate import ACTIVATIONS
from rnnjax.parametrization.inverse_width import EPS_SCALINGS
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import FAILED
from rnnjax.studies.costs import _cost_rows, _Part, text_table
from rnnjax.studies.degeneracy import training_stages
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import ARMS
from rnnjax.studies.help import study_help
from rnnjax.studies.launch import _parse
from rnnjax.studies.settings import nearest_names
from rnnjax.studies.sharpness.study import RULES as SHARPNESS_RULES
from rnnjax.studies.width_transfer.study import RULES as TRANSFER_RULES
from rnnjax.training.recipe import OPTIMIZERS, Recipe
from rnnjax.training.schedules import SCHEDULES


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_a_study_is_a_short_script_settings_and_a_module(name):
    script = (EXPERIMENTS / f"{name}.py").read_text()
    assert len(script.splitlines()) <= 20
    assert f'main(["run", "{name}", *sys.argv[1:]])' in script
    module = importlib.import_module(STUDIES[name].run)
    assert callable(module.run) and (name == "summary" or callable(module.report))


def test_every_script_is_of_a_study():
    assert {file.stem for file in EXPERIMENTS.glob("*.py")} == set(STUDIES)


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--wrkdir=x"], "flag: expected one of config, workdir, dry_run"),
        (["--config="], "config: expected a preset or a config file, got no value"),
        (["--config"], "config: expected a preset or a config file, got no value"),
        (["--clip=None"], "flag: expected one of config, workdir, dry_run"),
        (["--config.seedz=1"], "config: expected the name of a setting, got 'seedz'"),
        (["--config.optimisers.x=1"], "config: expected the name of a setting, got 'optimisers'"),
        (["--config.seeds=two"], "config.seeds: expected an integer, got 'two'"),
        (["--config.alpha=two"], "config.alpha: expected a number, got 'two'"),
        (["--config.bisect=maybe"], "config.bisect: expected true or false, got 'maybe'"),
        (["--config.hidden=16,,32"], "config.hidden: expected values with commas between"),
        (["--config.optimizers=sgd,adm"], "optimizers: expected one of adam, sgd, got 'adm'"),
        (["--config.optimizers=1,2"], "optimizers: expected one of adam, sgd, got 1"),
        (["--config.reduction=total"], "reduction: expected one of mean, sum, got 'total'"),
    ],
)
def test_wrong_flags_end_in_one_line_of_the_usual_form(flags, error, capsys):
    assert call("lr_collapse", *flags) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {error}")


@pytest.mark.parametrize(
    ("flag", "near"),
    [
        ("--gammas=1", "--config.gammas"),
        ("--gamas=1", "--config.gammas"),
        ("--settle=1", "--config.fingerprint.settle"),
        ("--wrkdir=x", "--workdir"),
        ("--smoke", "--config=smoke"),
        ("--config.settle=1", "'fingerprint.settle'"),
        ("--config.fingerprint.setle=1", "'fingerprint.settle'"),
        ("--config.kinds.mots=1", "'kinds.most'"),
        ("--config.training.sine_wav.tau=1", "'training.sine_wave.tau'"),
    ],
)
def test_the_nearest_flag_or_setting_is_suggested_wherever_it_is_nested(flag, near, capsys):
    assert call("solutions", flag) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f" (did you mean {near}?)")


def test_names_that_are_equally_near_are_all_suggested_and_far_ones_never():
    names = ["seeds", "a.rate", "b.rate", "c.rates"]
    assert nearest_names("rate", names) == ["a.rate", "b.rate"]
    assert nearest_names("b.rat", names) == ["b.rate"]
    assert nearest_names("rate", names, most=1) == ["a.rate"]
    assert nearest_names("xyz", names) == [] == nearest_names("rate", [])


@pytest.mark.parametrize("text", ["no python", "def get_config():\n    return 1 + 'a'", "x = 1"])
def test_a_broken_config_file_is_named(text, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert call("lr_collapse", f"--config={file}") == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: config: expected a config file, got {file} (")


def config_file(folder, module, change):
    """A file with a study's settings, changed by a line of code."""
    file = folder / "mine.py"
    file.write_text(
        f"from rnnjax.studies.{module}.config import SETTINGS\n"
        "def get_config():\n"
        "    config = SETTINGS.config()\n"
        f"    {change or 'pass'}\n"
        "    return config\n"
    )
    return file


@pytest.mark.parametrize("line", ["sedes = 3", "sedes.x = 3"])
def test_a_setting_that_a_config_file_misspells_is_suggested(line, tmp_path, capsys):
    file = config_file(tmp_path, "collapse", f"config.{line}")
    assert call("lr_collapse", f"--config={file}") == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: config: expected the name of a setting, got 'sedes'")
    assert line.endswith("(did you mean 'seeds'?)")


@pytest.mark.parametrize(
    ("module", "change", "named"),
    [("collapse", "", "'arm'"), ("latent", "config.unlock()['extra'] = 1", "'extra'"),
     ("latent", "del config.unlock().rank", "none for 'rank'")],
)  # fmt: skip
def test_a_config_file_has_the_settings_of_its_study(module, change, named, tmp_path, capsys):
    file = config_file(tmp_path, module, change)
    assert call("latent", f"--config={file}") == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: config: expected the settings of latent from {file}, got")
    assert named in line


def test_a_config_file_of_ones_own(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "from rnnjax.studies.collapse.config import SETTINGS\n"
        "def get_config(preset='laptop'):\n"
        "    config = SETTINGS.config(preset)\n"
        "    config.seeds = 3\n"
        "    return config\n"
    )
    new = f"--workdir={tmp_path / 'new'}"
    assert call("lr_collapse", f"--config={file}:smoke", "--dry_run", new) == 0
    assert "36 networks" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["None", "none", "0.5"])
def test_a_number_can_be_switched_off(value):
    given = _parse(STUDIES["population"], ["--config=smoke", f"--config.clip={value}"]).config
    assert given.clip == (None if value.lower() == "none" else 0.5)
    last = ["--config=smoke", "--config.clip=2", f"--config.clip={value}"]
    assert _parse(STUDIES["population"], last).config.clip == given.clip
    assert _parse(STUDIES["population"], [*last[::-1]]).config.clip == 2
    for earlier in (["-config.clip=2"], ["--config.clip", "2"]):
        given = _parse(STUDIES["population"], [*earlier, "--config.clip=None"])
        assert given.config.clip is None
    with pytest.raises(SystemExit):
        _parse(STUDIES["population"], ["--config.seeds=None"])


@pytest.mark.parametrize(
    ("flags", "hidden"),
    [
        (["--config.hidden=16,32", "--config.hidden=64"], (64,)),
        (["--config.hidden", "16,32", "-config.hidden", "64"], (64,)),
        (["--config.hidden=16,32", "--config.seeds=3", "--config.hidden="], ()),
    ],
)
def test_the_last_of_several_flags_counts_and_no_value_is_none(flags, hidden):
    assert _parse(STUDIES["lr_collapse"], flags).config.hidden == hidden


def test_help_shows_values_that_a_shell_takes():
    values = STUDIES["training_stages"].settings.values()
    assert values["arrows"] == () and "--config.arrows= " in study_help(STUDIES["training_stages"])


def of_recipe(field):
    """The names that a field of a recipe takes."""
    return get_args(get_type_hints(Recipe)[field])


CHOICES = {
    "optimizers": OPTIMIZERS, "optimizer": OPTIMIZERS, "arm": ARMS, "schedule": SCHEDULES,
    "inits": ("gaussian", "uniform"), "eps_scalings": EPS_SCALINGS, "eps_scaling": EPS_SCALINGS,
    "activations": ACTIVATIONS, "readout": get_args(Readout),
    "amplitudes": ("integers", "continuous"),
    "stretches": ("both", "longest"), "data": of_recipe("data"),
    "reduction": of_recipe("reduction"),
    "lag": get_args(Lag), "activity": get_args(Moving),
    "inputs": ("median", "zero"), "arrows": training_stages._STUDIES,
    "tasks": TASKS, "trick_tasks": TASKS, "standard_tasks": TASKS,
}  # fmt: skip


RULES = {"sharpness": SHARPNESS_RULES, "width_transfer": TRANSFER_RULES}


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_names_that_settings_take_are_those_of_the_code(name):
    for full, setting in STUDIES[name].settings.flat().items():
        last = full.rpartition(".")[2]
        if last == "rules" and name in RULES:
            assert set(setting.choices) == set(RULES[name])
        elif setting.choices:
            assert set(setting.choices) == set(CHOICES[last]), full


def test_tables_of_text_are_aligned():
    lines = text_table([("", "N"), ("a name", "8"), ("b", "1000")]).splitlines()
    assert lines == ["           N", "a name     8", "b       1000"]


def test_costs_of_blocks_add_up_and_their_memory_does_not():
    parts = [_Part("a", 8, 2, 1, 1.5, 10.0), _Part("a", 8, 3, 1, 2.0, 30.0),
             _Part("b", 8, 1, 1, 1.0, 20.0)]  # fmt: skip
    few = _cost_rows(parts)[1:]
    assert few == [("a", "8", "5", "2", "3.50", "30"), ("b", "8", "1", "1", "1.00", "20")]
    many = [_Part(str(label), size, 1, 1, 1.0, size) for label in range(30) for size in (8, 16)]
    assert [row[1:] for row in _cost_rows(many)[1:]] == [
        ("8", "30", "30", "30.00", "8"), ("16", "30", "30", "30.00", "16")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("study", "value", "named"),
    [
        ("lr_collapse", "local", "expected local:N"),
        ("lr_collapse", "local:two", "with a number N, got 'local:two'"),
        ("lr_collapse", "local:0", "at least 1, got 0"),
        ("lr_collapse", "local:10000", "one process per core, got 'local:10000'"),
        ("lr_collapse", "slurm:4", "got 'slurm:4'"),
        ("lr_collapse", "dask:nothing.json", "got nothing.json, which does not exist"),
        ("memory_demand", "local:2", "memory_demand runs in this process alone"),
    ],
)
def test_executors_that_do_not_exist_are_named(study, value, named, tmp_path, capsys):
    error = refused(study, ("--config=smoke", f"--executor={value}"), tmp_path / "new", capsys)
    assert error.startswith("error: executor: ")
    assert named in error


def test_dask_that_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda n: None if n == "distributed" else find(n)
    )
    error = refused("lr_collapse", ("--executor=dask:file",), tmp_path / "new", capsys)
    assert "pip install 'rnnjax[cluster]'" in error
