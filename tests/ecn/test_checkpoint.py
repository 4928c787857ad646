"""What is saved is what comes back; what is damaged is said to be."""

import json
import shutil

import pytest
import torch

from ecn import checkpoint
from ecn.errors import UserError
from ecn.testing import random_batch


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_weights_come_back_as_they_were(run, tmp_path):
    saved = checkpoint.load(run)
    again = tmp_path / "again"
    again.mkdir()
    checkpoint.save_config(again, saved.config)
    checkpoint.save_weights(again, saved.model, epoch=7, score=0.5)
    loaded = checkpoint.load(again)
    batch = random_batch(dtype=torch.float32)
    assert torch.equal(loaded.model(batch), saved.model(batch))
    assert loaded.config == saved.config
    assert loaded.epoch == 7
    assert loaded.digest == saved.digest


def test_a_run_says_what_it_was_made_of(run, release):
    config = json.loads((run / "config.json").read_text())
    (target,) = config["targets"]
    assert target["task"]["name"] == "formation_energy"
    assert target["shift"] == pytest.approx(target["train_mean"])
    assert config["training"]["epochs"] == 30
    assert config["training"]["batch_size"] == 8
    assert config["model_options"]["symmetry_breaking"] is False
    assert config["release"]["content_hash"] == "0" * 64
    assert config["release"]["synthetic"] is False
    assert config["featuriser"] == {"bonds": "voronoi", "min_area": 1e-4, "cutoff": 6.0}
    assert config["packages"]["torch"] == torch.__version__
    assert (config["n_train"], config["n_validation"]) == (54, 18)


def test_nothing_is_pickled(run):
    files = [path for path in run.rglob("*") if path.is_file() and path.suffix != ".png"]
    event_files = [path for path in files if path.parent.name == "tensorboard"]
    assert sorted(path.suffix for path in files if path not in event_files) == [
        ".csv",
        ".json",
        ".safetensors",
    ]


def _truncate(run):
    path = run / checkpoint.WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def _flip(run):
    path = run / checkpoint.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def _edit(**changes):
    def edit(run):
        path = run / checkpoint.CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "model.safetensors: damaged"),
        (_flip, "its digest does not match"),
        (lambda run: (run / checkpoint.WEIGHTS).unlink(), "its training ended before the first epoch did"),
        (lambda run: (run / checkpoint.CONFIG).unlink(), "no run of `ecn fit`"),
        (lambda run: (run / checkpoint.CONFIG).write_text("{"), "config.json: damaged"),
        (lambda run: (run / checkpoint.CONFIG).write_text("[]"), "config.json: damaged"),
        (_edit(format_version=99), "format version 99, but this ecn reads 2"),
        (_edit(surprise=1), r"entries \['surprise'\]"),
        (_edit(model="resnet"), "unknown model 'resnet'"),
        (_edit(model_options={"width": 8}), "no weights of a 'ecn' model"),
        (_edit(targets=[{"task": {"colour": "red"}}]), "config.json: damaged, its targets are none"),
    ],
)
def test_damage_is_named(copied, damage, message):
    from ecn import load

    damage(copied)
    with pytest.raises(UserError, match=message) as error:
        load(copied)
    assert "\n" not in str(error.value)


def test_a_folder_of_something_else_is_no_run(tmp_path):
    with pytest.raises(UserError, match="no run of `ecn fit`"):
        checkpoint.load(tmp_path)


def test_a_run_of_version_1_is_read(copied):
    config = json.loads((copied / checkpoint.CONFIG).read_text())
    (target,) = config.pop("targets")
    old = {name: target[name] for name in ("shift", "scale", "train_mean")}
    old |= {"target": "formation_energy", "unit": "eV/atom", "format_version": 1}
    (copied / checkpoint.CONFIG).write_text(json.dumps(config | old))
    loaded = checkpoint.load(copied)
    assert loaded.config.format_version == 2
    assert loaded.goal.name == "formation_energy"
    assert loaded.goal.targets[0].scale == target["scale"]
