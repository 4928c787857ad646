"""What the packages say changes only where a reviewer sees it: in `messages.txt`."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(__file__).with_name("messages.py"))
TOOL = runpy.run_path(PROGRAM)


def test_messages_are_those_of_the_snapshot():
    # In a process of its own: other libraries change click's help options for a whole process.
    program = f"import runpy, sys; sys.stdout.write(runpy.run_path({PROGRAM!r})['collect']())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said, known = done.stdout, TOOL["SNAPSHOT"].read_text("utf-8")
    if said != known:
        new = set(said.splitlines()) - set(known.splitlines())
        gone = set(known.splitlines()) - set(said.splitlines())
        lines = [*(f"+ {line}" for line in sorted(new)), *(f"- {line}" for line in sorted(gone))]
        pytest.fail("\n".join(["messages changed; `make messages` writes them anew:", *lines]), pytrace=False)


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ('raise UserError(f"{path}: no crystal in it")', ["UserError: {path}: no crystal in it"]),
        ('raise UserError("one " + f"two {x.y}")', ["UserError: one two {x.y}"]),
        ('WAY = "try again"\nraise UserError(f"{path}: {WAY}")', ["UserError: {path}: try again"]),
        ('click.echo("all is well")', ["echo: all is well"]),
        ("raise KeyError(name)", []),
        ('print_table("no message of ours")', []),
    ],
)
def test_templates(source, messages):
    assert list(TOOL["messages_of"](source)) == messages


@pytest.mark.parametrize("text", ["UserError: ", "$ mpclean build --help", "$ ecn fit --help", "--part"])
def test_the_snapshot_holds_errors_and_help(text):
    assert text in TOOL["SNAPSHOT"].read_text("utf-8")
