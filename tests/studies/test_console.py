"""The line that is printed to be given again."""

import sys

import pytest

from rnnjax.studies import console

FLAGS = ["--config=smoke", "--workdir=a b"]


def test_a_closed_pipe_is_left_to_the_command_line():
    with pytest.raises(BrokenPipeError), console.orderly_end("latent", FLAGS):
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("original", "argv", "typed", "listed"),
    [
        (  # a script
            ["./env/bin/python", "-u", "experiments/latent.py", *FLAGS],
            ["experiments/latent.py", *FLAGS],
            "./env/bin/python -u experiments/latent.py --config=smoke '--workdir=a b'",
            "python experiments/latent.py --config=smoke '--workdir=a b'",
        ),
        (  # a module
            ["python3", "-m", "rnnjax", "run", "latent", *FLAGS],
            ["/site/rnnjax/__main__.py", "run", "latent", *FLAGS],
            "python3 -m rnnjax run latent --config=smoke '--workdir=a b'",
            "rnnjax run latent --config=smoke '--workdir=a b'",
        ),
        (  # a console script that the shell does not find
            ["/env/bin/python", "/env/bin/rnnjax", "run", "latent", *FLAGS],
            ["/env/bin/rnnjax", "run", "latent", *FLAGS],
            "/env/bin/rnnjax run latent --config=smoke '--workdir=a b'",
            "rnnjax run latent --config=smoke '--workdir=a b'",
        ),
        (  # a notebook
            ["/env/bin/python", "-m", "ipykernel", "-f", "x.json"],
            ["/site/ipykernel/__main__.py.other", "-f", "x.json"],
            "rnnjax run latent --config=smoke '--workdir=a b'",
            "rnnjax run latent --config=smoke '--workdir=a b'",
        ),
    ],
)
def test_the_command_as_it_was_typed_and_as_it_is_listed(
    original, argv, typed, listed, monkeypatch
):
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(console.shutil, "which", lambda name: None)
    assert console.typed_line("latent", FLAGS) == typed
    assert console.command_line("latent", FLAGS) == listed


def test_a_program_that_the_shell_finds_goes_by_its_name(monkeypatch, tmp_path):
    program = tmp_path / "rnnjax"
    program.write_text("")
    monkeypatch.setattr(console.shutil, "which", lambda name: str(program))
    assert console._shortened(str(program)) == "rnnjax"
    monkeypatch.setattr(console.shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert console._shortened(str(program)) == "./rnnjax"
