"""The line that is printed to be given again."""

import os
import sys
import threading
import time

import pytest

from rnnjax import stopping
from rnnjax.studies import console

FLAGS = ["--config=smoke", "--workdir=a b"]


def test_a_closed_pipe_is_left_to_the_command_line(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"), console.orderly_end("latent", FLAGS):
        raise BrokenPipeError  # of something else
    assert capsys.readouterr().err.startswith("error: ")

    def flush():
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "flush", flush)
        with pytest.raises(BrokenPipeError), console.orderly_end("latent", FLAGS):
            raise BrokenPipeError


def test_a_late_process_ends_after_its_save(monkeypatch):
    order, started = [], threading.Event()

    def save():
        with stopping.saving():
            started.set()
            time.sleep(0.5)
            order.append("saved")

    monkeypatch.setattr(os, "_exit", order.append)
    thread = threading.Thread(target=save)
    thread.start()
    started.wait()
    console._end_late("latent", FLAGS, threading.Lock())
    thread.join()
    monkeypatch.setattr(console, "_SAVING", 0.0)
    with stopping.saving():
        console._end_late("latent", FLAGS, threading.Lock())
    assert order == ["saved", 75, 75]


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
