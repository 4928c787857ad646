"""Two processes of torchrun train as one does, to rounding, and only the first writes and speaks."""

import json
import socket
import subprocess
import sys

import pytest
import torch

from ecn.runs import checkpoint
from ecn.training.presets import to_yaml
from ecn.training.state import STATE, load_state

pytestmark = pytest.mark.slow  # several processes train

#: ``ecn`` as a program, whatever is on the path.
ECN = [sys.executable, "-c", "from ecn.cli import main; main()"]

OPTIONS = {"width": 8, "n_layers": 1, "symmetry_breaking": False}

#: ``ecn``, where the second of two processes, and only that, is asked to stop within its second step.
STOPPED = """
import os, signal
from ecn.cli import main
from ecn.training.loop import Loop

step = Loop._step

def stopped(self, *arguments):
    if self.progress.step == 1 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    step(self, *arguments)

Loop._step = stopped
main()
"""

#: One of two machines with a process each.
MACHINE = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def torchrun(*arguments, program=ECN):
    """Two processes of it."""
    return subprocess.run(
        [*TORCHRUN, "--no-python", *program, *arguments, "--device", "cpu", "--logger", "none"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def settings(tmp_path, short):
    """Writes the settings of a run as a file for ``ecn fit``."""

    def settings(run):
        values = json.loads((run / checkpoint.CONFIG).read_text())["training"] | {"options": {"ecn": OPTIONS}}
        path = tmp_path / "settings.yaml"
        path.write_text(to_yaml(type(short)(**values)))
        return path

    return settings


@pytest.mark.slow
def test_two_processes_train_as_one(release, tmp_path, fit, history, settings):
    # 53 of 54 crystals are shared unevenly, the last is one that one process has to do without, and
    # passes of 140 edges let gradients be exchanged in the last of several only.
    run, one = tmp_path / "run", tmp_path / "one"
    fit(release, one, precision="64-true", batch_size=53, max_edges=140, average_decay=0.5)
    done = torchrun("fit", release, "--config", settings(one), "--out", run)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(str(run)) == 1
    assert done.stderr.count("ecn with the settings settings: at most 3 epochs\n") == 1
    assert done.stderr.count("epoch 3: validation MAE") == 1
    assert not any(p.name.startswith("state") for p in run.iterdir())
    assert_equal_runs(run, one, history)


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_stopped(release, tmp_path, fit, history, settings):
    run, one = tmp_path / "run", tmp_path / "one"
    fit(release, one, precision="64-true", average_decay=0.5)
    stopped = [sys.executable, "-c", STOPPED]
    done = torchrun("fit", release, "--config", settings(one), "--out", run, program=stopped)
    assert f"stopped by the user; resume with: ecn fit --resume {run}" in done.stderr
    assert load_state(run / STATE)["loop"]["progress"]["step"] == 2
    done = torchrun("fit", "--resume", run)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("resumes in epoch 1, after 32 of its crystals") == 1
    assert_equal_runs(run, one, history)


@pytest.mark.slow
def test_two_machines_train_as_one(release, tmp_path, fit, history, settings):
    run, one = tmp_path / "run", tmp_path / "one"
    fit(release, one, precision="64-true", epochs=1)
    words = ["fit", release, "--config", settings(one), "--out", run, "--device", "cpu", "--logger", "none"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    machines = [
        subprocess.Popen(
            [*MACHINE, "--node-rank", str(rank), *meeting, "--no-python", *ECN, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    (out, err), (silent, _) = [machine.communicate(timeout=300) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], err[-3000:]
    assert (out.strip(), silent) == (str(run), "")
    assert_equal_runs(run, one, history)


def assert_equal_runs(run, one, history):
    """Two runs are one, to rounding."""
    ours, theirs = checkpoint.load(run), checkpoint.load(one)
    assert ours.epoch == theirs.epoch
    for (name, a), b in zip(ours.model.named_parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)
    for a, b in zip(history(run), history(one), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-7)
        assert a["validation_score"] == pytest.approx(b["validation_score"], rel=1e-6)
