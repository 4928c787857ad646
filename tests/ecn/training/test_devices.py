"""Two processes of torchrun train as one does, to rounding, and only the first writes and speaks."""

import json
import subprocess
import sys

import pytest
import torch

from ecn import checkpoint
from ecn.presets import to_yaml

#: ``ecn`` as a program, whatever is on the path.
ECN = [sys.executable, "-c", "from ecn.cli import main; main()"]

OPTIONS = {"width": 8, "n_layers": 1, "symmetry_breaking": False}


@pytest.mark.slow
def test_two_processes_train_as_one(release, tmp_path, short, fit, history):
    # 53 of 54 crystals are shared unevenly, the last is one that one process has to do without, and
    # passes of 140 edges let gradients be exchanged in the last of several only.
    settings = {"precision": "64-true", "batch_size": 53, "max_edges": 140, "average_decay": 0.5}
    run, one = tmp_path / "run", tmp_path / "one"
    fit(release, one, **settings)
    values = json.loads((one / checkpoint.CONFIG).read_text())["training"] | {"options": {"ecn": OPTIONS}}
    config = tmp_path / "settings.yaml"
    config.write_text(to_yaml(type(short)(**values)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["fit", release, "--config", config, "--device", "cpu", "--logger", "none", "--out", run]
    done = subprocess.run(
        [*torchrun, "--no-python", *ECN, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(str(run)) == 1
    assert done.stderr.count("epoch 3: validation MAE") == 1
    ours, theirs = checkpoint.load(run), checkpoint.load(one)
    assert ours.epoch == theirs.epoch
    assert not any(p.name.startswith("state") for p in run.iterdir())
    for (name, a), b in zip(ours.model.named_parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)
    for a, b in zip(history(run), history(one), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-7)
        assert a["validation_score"] == pytest.approx(b["validation_score"], rel=1e-6)
