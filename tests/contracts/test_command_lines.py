"""Every study, given any command line: a dry run, or exit code 2 and one line that begins `error:`.

Nothing is trained.
"""

import contextlib
import io
import tempfile
from pathlib import Path

import hypothesis
import jax
import pytest
from hypothesis import strategies

from commands import settings, study
from odd import cases
from rnnjax import commands
from rnnjax.commands import run as _  # noqa: F401
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import FAILED, LONGEST

NAMES = sorted(STUDIES)
SMALLEST = {name: "laptop" if name == "summary" else "smoke" for name in NAMES}
FIELDS = {name: sorted(settings(name, SMALLEST[name])) for name in NAMES}

ODD = (
    "", "0", "1", "2", "3", "-1", "2147483648", "1" + "0" * 400, "0.5", "0.1", "1e-320", "1e200",
    "1e999", "nan", "inf", "-inf", "True", "False", "None", "adam", "a|b<c>", "é", "'", "(",
    "(2, 4)", "(2, 4", "(2, 'a')", "(nan, inf)", "[]", "()", "(1, 1)", "(0.1,)", "{'a': 1}",
    "{'hidden': (2,)}", "__import__('os')", "flip_flop", "('flip_flop', 'sine_wave')",
    "('adam', 'adam')", "1,2,3", "adam,sgd", " ", "\n", "\0", "x" * 500, "(" * 300,
)  # fmt: skip

LINES = (
    "--config", "--config=", "--config=smoke", "--config=SMOKE", "--config=nothing.py",
    "--config=.", "--config=a.py:b", "--config.", "--config.=1", "--config.nothing=1",
    "--config.seeds", "--config.hidden.x=1", "--config=smoke=1", "--nothing", "--nothing=1", "-h",
    "--help", "nothing", "", "-", "--", "---", "=", "--=", "--workdir", "--workdir=",
    "--workdir=\0", "--dry_run=maybe", "--dry_run=", "--nodry_run=1", "--dry_run",
    "--compilation_cache=off", "--compilation_cache", "--flagfile=nothing", "--flagfile",
    "--undefok=nothing", "--workdir=" + "x" * 5000,
)  # fmt: skip
"""Flags that are odd as a whole."""


@strategies.composite
def command_lines(draw):
    name = draw(strategies.sampled_from(NAMES))
    fields = strategies.builds(
        lambda field, value: f"--config.{field}={value}",
        strategies.sampled_from(FIELDS[name]),
        strategies.sampled_from(ODD),
    )
    flags = strategies.one_of(fields, fields, fields, strategies.sampled_from(LINES))
    return name, draw(strategies.lists(flags, min_size=1, max_size=2))


def dry_run(name, flags):
    """Runs a study's main, dry whatever its flags are; returns the exit code."""

    def run(config, workdir, *, dry_run, command):
        study(name).run(config, workdir, dry_run=True, command=command)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commands.run, "find_study", lambda _: STUDIES[name]._replace(run=run))
            return commands.main(["run", name, *flags])
    except SystemExit as end:
        return end.code


def check(name, flags):
    out, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "new"
        first = [f"--workdir={workdir}", "--compilation_cache=off"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = dry_run(name, [f"--config={SMALLEST[name]}", *first, *flags])
        assert not workdir.exists()
    lines = errors.getvalue().splitlines()
    failed = [line for line in lines if not line.startswith("warning: ")]
    assert code in (0, FAILED), code
    if code == FAILED:
        assert len(failed) == 1 and failed[0].startswith("error: "), failed
        assert len(failed[0]) > len("error: ") and len(failed[0]) < LONGEST + 20
    else:
        assert not failed and out.getvalue().strip()


@pytest.mark.slow
@cases(share=0.05)
@hypothesis.given(command_lines())
def test_a_dry_run_or_one_line_of_error(line):
    before = jax.config.jax_enable_compilation_cache
    check(*line)
    jax.config.update("jax_enable_compilation_cache", before)  # for the tests that follow
