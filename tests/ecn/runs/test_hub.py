"""Runs to the Hub and back, by the real client, against a stand-in for the Hub on loopback."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("huggingface_hub")

HERE = Path(__file__).parent
Hub = runpy.run_path(str(HERE.parents[1] / "mpclean" / "release" / "hub_server.py"))["Hub"]

# huggingface_hub reads its settings when it is imported, so it runs in a process of its own.
CLIENT = """
import json, sys
from click.testing import CliRunner
from ecn.cli import main
for line in sys.stdin:
    result = CliRunner().invoke(main, json.loads(line), catch_exceptions=False)
    print(json.dumps([result.exit_code, result.stdout, result.stderr]), flush=True)
"""


@pytest.fixture(scope="module")
def hub():
    with Hub().running() as server:
        yield server


@pytest.fixture(scope="module")
def client(hub, tmp_path_factory):
    """Runs a command as ``ecn`` would, with a token of the stand-in."""
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_of_tests",
    }
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=os.environ | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("work"),
    ) as process:

        def run(*arguments):
            process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
            process.stdin.flush()
            code, stdout, stderr = json.loads(process.stdout.readline())
            assert "hf_of" not in stdout + stderr  # no token is ever shown
            return SimpleNamespace(exit_code=code, stdout=stdout, stderr=stderr)

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def pushed(client, run):
    result = client("push", run, "org/energies")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.strip()


@pytest.fixture
def structure(tmp_path):
    from ase.build import bulk
    from ase.io import write

    path = tmp_path / "NaCl.cif"
    write(path, bulk("NaCl", "rocksalt", a=5.64))
    return path


def test_what_is_pushed_is_a_run_with_its_card(hub, pushed, run):
    repository = hub.repositories["models", "org/energies"]
    files = repository.commits[repository.branches["main"]]
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "config.json",
        "evaluation.json",
        "model.safetensors",
    }
    assert files["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert str(run) not in files["config.json"].decode()
    assert re.fullmatch(r"org/energies@[0-9a-f]{40}", pushed)
    (measured,) = json.loads(files["evaluation.json"])["targets"]
    assert f"{measured['mae']:.4g}" in files["README.md"].decode()


def test_a_run_on_the_hub_predicts_as_the_one_that_was_pushed(client, pushed, run, structure):
    here = client("predict", run, structure)
    there = client("predict", "org/energies", structure)
    assert here.stdout == there.stdout
    assert "NaCl" in there.stdout
    assert client("predict", pushed, structure).stdout == here.stdout  # by its commit
    both = json.loads(client("predict", run, structure, "--with", pushed, "--format", "json").stdout)
    assert both[0]["standard_deviation"] == 0.0


def test_a_second_push_of_the_same_sends_nothing(client, hub, pushed, run):
    received = len(hub.received)
    again = client("push", run, "org/energies")
    assert again.stdout.strip() == pushed
    assert len(hub.received) == received


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "org/none", "{cif}"],
            "org/none: no such folder; on the Hub, org/none: the Hub answers",
        ),
        (["predict", "org/energies@v9", "{cif}"], "org/energies: has no revision v9"),
        (["predict", "org/taken", "{cif}"], "org/taken: main is not a run (it has no config.json"),
        (["push", "{run}", "org/taken"], "org/taken: holds files that do not belong to a run (notes.txt)"),
        (["push", "{run}", "strangers/energies"], "the Hub answers 403"),
        (["push", "{run}", "energies"], "energies: not the name of a model on the Hub; give org/name"),
    ],
)
def test_a_mistake_is_one_line(client, hub, run, structure, pushed, arguments, message):
    taken = hub.add("models", "org/taken")
    taken.commit({"notes.txt": b"mine"})
    result = client(*(a.format(run=run, cif=structure) for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
