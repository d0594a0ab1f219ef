"""The command `rnnjax`: its help, its refusals, and what it needs to be installed."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands import rnnjax as command
from rnnjax import commands
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import FAILED
from rnnjax.studies.help import study_help
from rnnjax.studies.settings import Setting, Settings

ROOT = Path(__file__).parents[2]

WITHOUT_EXTRAS = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *rest: None if name in {packages!r} else found(name, *rest)
from rnnjax.commands import main
def code(line):
    try:
        return main(line)
    except SystemExit as end:
        return end.code
codes = [code(line) for line in json.loads(sys.argv[1])]
print(codes)
sys.exit(max(codes))
"""


def without_extras(*lines):
    """Command lines, in one process, where the packages of the extra are not installed."""
    script = WITHOUT_EXTRAS.format(packages=commands.STUDY_PACKAGES)
    return subprocess.run(
        [sys.executable, "-c", script, json.dumps(lines)], capture_output=True, text=True
    )


def refusal(capsys, *arguments):
    """The error of a command line, in one line."""
    assert command(*arguments) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_help_lists_every_command_with_its_first_line(capsys):
    assert command() == command("--help") == 0
    text = capsys.readouterr().out
    for name in commands._commands():
        assert text.count(f"rnnjax {name} ") == 2
    assert command("--version") == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["stutus"], "error: command: expected one of .*did you mean 'status'"),
        (["--verson"], "error: flag: .*did you mean '--version'"),
        (["lr_collapse"], "error: command: .*as in rnnjax run lr_collapse"),
        (["run", "lr_collapse", "smoke"], "error: flags: .*did you mean --config=smoke"),
        (["run", "lr_colapse"], "error: study: .*did you mean 'lr_collapse'"),
        (["run", "nope"], r"error: study: .*got 'nope'$"),
        (["run", "lr_collapse", "--help", "--config=nope"], r"error: preset: .*got 'nope'$"),
        (["frob"], r"error: command: .*got 'frob'$"),
        (["run"], "error: study: expected one of .*, got none"),
        (["run", "lr_collapse", "--help", "--config=smok"], "error: preset: .*mean 'smoke'"),
        (["run", "--config.seedz=1", "latent"], "error: config: .*did you mean 'seeds'"),
        (["status"], "error: WORKDIR: expected a value, got none"),
        (["status", "x", "--verifi"], "error: flag: .*did you mean '--verify'"),
        (["status", "nowhere"], "error: workdir: expected .* got nowhere"),
        (["studies", "x"], "error: studies: expected nothing more, got 'x'"),
        (["report", "nowhere"], "error: workdir: expected .* got nowhere"),
        (["compare", "a.npy", "--output=o", "b.npy"], "error: files: .* got a.npy"),
        (["compare", "a.npy"], "error: --output: expected a value, got none"),
        (["compare", "--output=o"], "error: FILE: expected a value, got none"),
        (["run", "latent", "--workdir=~nobody_at_all/x"], "error: workdir: .*~nobody_at_all"),
    ],
)  # fmt: skip
def test_wrong_commands_are_refused_in_one_line(arguments, error, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert re.match(error, refusal(capsys, *arguments))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_setting_has_a_meaning_and_is_listed_with_the_value_of_its_preset(name):
    settings = STUDIES[name].settings
    for preset in settings.presets:
        text = study_help(STUDIES[name], preset)
        for key, value in settings.values(preset).items():
            listed = re.search(rf"^  --config\.{re.escape(key)}=(\S*)", text, re.M)
            assert listed is not None
            if value is not None and not isinstance(value, tuple):
                shown = f"{value:.6g}" if isinstance(value, float) else str(value)
                assert listed[1] == shown
        assert all(one.meaning in " ".join(text.split()) for one in settings.flat().values())
        wrapped = [line for line in text.splitlines() if not line.startswith("  --config.")]
        assert max(map(len, wrapped)) <= 100
    assert STUDIES[name].asks in text


def test_the_values_in_help_can_be_given_as_flags(capsys, tmp_path):
    """A dry run with every value of the help is that without any."""
    shown = re.findall(
        r"^  (--config\.[a-z]\S+)", study_help(STUDIES["lr_collapse"], "smoke"), re.M
    )
    flags = [flag for flag in shown if not flag.endswith(("=NUMBER", "=INTEGER"))]
    assert len(flags) > 20
    new = f"--workdir={tmp_path / 'new'}"
    assert command("run", "lr_collapse", "--dry_run", new, *flags) == 0
    given = capsys.readouterr().out
    assert command("run", "lr_collapse", "--dry_run", new, "--config=smoke") == 0
    networks = [re.findall(r"([\d,]+ networks x [\d,]+ steps)", text) for text in
                (given, capsys.readouterr().out)]  # fmt: skip
    assert networks[0] == networks[1] != []


def test_help_takes_a_preset_after_a_space_too(capsys):
    texts = []
    for flags in (["--config=smoke"], ["--config", "smoke"], []):
        assert command("run", "lr_collapse", *flags, "--help") == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_help_offers_an_executor_where_there_can_be_one(name, capsys, tmp_path):
    offered = "--executor" in study_help(STUDIES[name])
    module = importlib.import_module(STUDIES[name].run)
    takes = "executor" in inspect.signature(module.run).parameters and name != "solutions"
    assert offered == takes == (not STUDIES[name].alone)


def test_a_preset_changes_known_settings_only():
    from rnnjax.studies.settings import Preset

    settings = Settings({"a": Setting(1, "one")}, {"laptop": Preset("", "", {"b": 2})})
    with pytest.raises(ValueError, match="preset laptop: expected one of a, got 'b'"):
        settings.values()


def test_help_needs_no_extra_and_a_study_names_the_one_that_is_missing(tmp_path):
    lines = ["--help"], ["studies"], ["run", "--help"], ["run", "latent", "--help"]
    done = without_extras(*lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == str([0] * len(lines))
    done = without_extras(["run", "latent", f"--workdir={tmp_path / 'new'}"])
    assert done.returncode == FAILED
    assert done.stderr.startswith("error: absl, jinja2") and "[experiments]" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_times_in_the_docs_are_those_of_the_catalog():
    """Rows of tables that begin with the command of a study."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    command_of = r"(?:experiments/(\w+)\.py|rnnjax run ([a-z_]+\d?))(?: --config=(\w+))?"
    row = re.compile(rf"^\| *`{command_of}` *\|(.*)\|", re.M)
    seen = set()
    for page in pages:
        for script, command_name, preset, rest in row.findall(page.read_text(encoding="utf-8")):
            name = script or command_name
            wanted = STUDIES[name].settings.presets[preset or "laptop"]
            *_, content, time = rest.split("|")
            assert (time.strip(" *"), time.strip().endswith("*")) == (wanted.time, wanted.shared)
            assert content.strip() == wanted.content
            seen.add((name, preset or "laptop"))
    assert {name for name, preset in seen if preset == "laptop"} == set(STUDIES)
