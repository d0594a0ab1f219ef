"""The command line that all studies share: help, presets, and settings in one place."""

import ast
import inspect

import pytest

from commands import EXPERIMENTS, call, settings
from rnnjax.studies import launch
from rnnjax.studies.grids import text_table

NAMES = sorted(file.stem for file in EXPERIMENTS.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_a_short_script_and_a_config_that_names_its_settings(name):
    script, config = EXPERIMENTS / f"{name}.py", EXPERIMENTS / "configs" / f"{name}.py"
    assert len(script.read_text().splitlines()) <= 20
    docstring = ast.get_docstring(ast.parse(config.read_text()))
    get_config = launch._load_function(config)
    assert get_config.__module__.replace(".", "/") + ".py" in docstring
    if inspect.signature(get_config).parameters:
        with pytest.raises(ValueError, match="^preset: expected one of") as refused:
            get_config("none")
        presets = str(refused.value).partition("one of ")[2].partition(", got")[0].split(", ")
        for preset in set(presets) - {"laptop"}:
            assert f"experiments/{name}.py --config={preset}" in docstring
            assert settings(name, preset) != settings(name, "laptop")


def test_help_lists_presets_flags_and_the_place_of_the_settings(capsys):
    assert call("lr_collapse", "--help") == 0
    text = capsys.readouterr().out
    for preset in ("smoke", "bisect", "paper"):
        assert f"--config={preset}" in text
    for flag in ("--workdir", "--dry_run", "--help"):
        assert flag in text
    place = next(line for line in text.splitlines() if line.endswith("/collapse/config.py"))
    assert place.strip().startswith("/")


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--wrkdir=x"], "flag: expected one of config, workdir, dry_run"),
        (["--config="], "config: expected a preset or a config file, got no value"),
        (["--config"], "config: expected a preset or a config file, got no value"),
        (["--config.seedz=1"], "config: expected the name of a setting, got 'seedz'"),
        (["--config.optimisers.x=1"], "config: expected the name of a setting, got 'optimisers'"),
        (["--config.seeds=two"], "config.seeds: expected an integer, got 'two'"),
        (["--config.alpha=two"], "config.alpha: expected a number, got 'two'"),
        (["--config.bisect=maybe"], "config.bisect: expected true or false, got 'maybe'"),
    ],
)
def test_wrong_flags_end_in_one_line_of_the_usual_form(flags, error, capsys):
    assert call("lr_collapse", *flags) == launch.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {error}")


@pytest.mark.parametrize("text", ["no python", "def get_config():\n    return 1 + 'a'", "x = 1"])
def test_a_broken_config_file_is_named(text, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert call("lr_collapse", f"--config={file}") == launch.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: config: expected a config file, got {file} (")


def test_a_config_file_of_ones_own(tmp_path, capsys):
    config = EXPERIMENTS / "configs" / "lr_collapse.py"
    file = tmp_path / "mine.py"
    file.write_text(config.read_text())
    new = f"--workdir={tmp_path / 'new'}"
    assert call("lr_collapse", f"--config={file}:smoke", "--dry_run", new) == 0
    assert "24 networks" in capsys.readouterr().out


def test_tables_of_text_are_aligned():
    lines = text_table([("", "N"), ("a name", "8"), ("b", "1000")]).splitlines()
    assert lines == ["           N", "a name     8", "b       1000"]
