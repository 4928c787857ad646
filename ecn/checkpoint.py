"""A run on disk: what was trained, on what, and the best weights so far.

A run is a folder with

* ``config.json``, written once, before the first epoch: everything needed to make the model
  again, to turn a structure into its input and to say what its output means;
* ``model.safetensors``, replaced whole at every better epoch, with that epoch's number and
  score and a digest of the weights in its header;
* ``metrics.csv``, a line per epoch.

Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecn.errors import UserError
from ecn.files import replace_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ecn.models.base import CrystalModel
    from ecn.tasks import Goal

#: Of the folder's layout; raised when an older reader would misunderstand it.
FORMAT_VERSION = 2

CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.csv"

_PACKAGES = ("mpclean", "lightning", "numpy", "pyarrow", "safetensors", "torch")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run was made of, resolved: nothing is left to a default."""

    targets: list[dict[str, Any]]
    """What every output is: a task, with the units that it was learned in; see `ecn.tasks.Goal.to_json`."""
    model: str
    """Name in `ecn.models.MODELS`."""
    model_options: dict[str, Any]
    """Every field of the model's ``Config``."""
    preset: str
    """Name of the preset that the settings started from."""
    training: dict[str, Any]
    """Every field of `ecn.presets.Preset` but `options`, after the user's changes."""
    seed: int
    """Seed of weights, order and draws."""
    limit: int | None
    """Training rows that were asked for; None for all."""
    time_limit: float | None
    """Minutes that were allowed; None for no limit."""
    n_train: int
    """Rows trained on."""
    n_validation: int
    """Rows that the best epoch was chosen by."""
    release: dict[str, Any]
    """Of the training data: path, name, version, content hash, whether it is synthetic, split."""
    featuriser: dict[str, Any]
    """How the release turned a crystal into a graph: bonds, min_area, cutoff."""
    packages: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _PACKAGES})
    """Versions of the packages that had a hand in it."""
    format_version: int = FORMAT_VERSION
    """Of the folder's layout."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model as it was saved."""

    path: Path
    """The folder of the run."""
    config: RunConfig
    """What the run was made of."""
    goal: Goal
    """What the outputs of the model are."""
    model: CrystalModel
    """With the best weights, in evaluation mode."""
    epoch: int
    """The best epoch, from 1."""
    digest: str
    """SHA-256 of the weights, by name."""

    def predict(self, output: Tensor) -> Tensor:
        """Bring outputs of the model, (R, T), to the units of the targets (logits for a class)."""
        return self.goal.predicted(output)


def save_config(run: Path, config: RunConfig) -> None:
    """Write ``config.json`` of a run."""
    text = json.dumps(asdict(config), indent=2) + "\n"
    replace_file(run / CONFIG, lambda path: path.write_text(text))


def save_weights(run: Path, model: nn.Module, epoch: int, score: float) -> None:
    """Replace the weights of a run, so that a reader finds the old or the new ones, whole."""
    from safetensors.torch import save_file

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {"epoch": str(epoch), "score": repr(score), "digest": _digest(weights)}
    replace_file(run / WEIGHTS, lambda path: save_file(weights, path, metadata=header))


def load(run: Path) -> Checkpoint:
    """Read a run.

    Parameters
    ----------
    run
        Folder of the run.

    Raises
    ------
    UserError
        If it is no run, holds no weights yet, was written by a later version, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from ecn.models import build
    from ecn.tasks import Goal

    config = load_config(run)
    try:
        goal = Goal.from_json(config.targets)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run / CONFIG}: damaged, its targets are none ({error})") from error
    path = run / WEIGHTS
    if not path.is_file():
        raise UserError(f"{run}: no {WEIGHTS}; its training ended before the first epoch did")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        model = build(config.model, config.model_options)
        model.load_state_dict(weights)
        digest, epoch = header["digest"], int(header["epoch"])
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged, or no weights of a {config.model!r} model ({reason})") from error
    if digest != _digest(weights):
        raise UserError(f"{path}: damaged, its digest does not match; train again or restore it")
    return Checkpoint(run, config, goal, model.eval(), epoch, digest)


def load_config(run: Path) -> RunConfig:
    """Read ``config.json`` of a run.

    Raises
    ------
    UserError
        If it is no run, was written by a later version, or is damaged.
    """
    path = run / CONFIG
    if not path.is_file():
        raise UserError(f"{run}: no run of `ecn fit`, for it has no {CONFIG}")
    try:
        content = json.loads(path.read_text())
        found = content["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged, or not written by `ecn fit`") from error
    if found == 1:
        content, found = _from_version_1(content), 2
    if found != FORMAT_VERSION:
        raise UserError(f"{path}: format version {found}, but this ecn reads {FORMAT_VERSION}; upgrade ecn")
    expected = {f.name for f in fields(RunConfig)}
    if set(content) != expected:
        raise UserError(f"{path}: damaged, entries {sorted(set(content) ^ expected)} are missing or unknown")
    return RunConfig(**content)


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had one target, under names of its own."""
    from ecn.tasks import Goal

    names = ("target", "unit", "shift", "scale", "train_mean")
    old = {name: content[name] for name in names if name in content}
    target = Goal.named(old["target"]).to_json()[0]
    target |= {name: old[name] for name in ("shift", "scale", "train_mean")}
    new = {name: value for name, value in content.items() if name not in old}
    return new | {"targets": [target], "format_version": 2}


def _digest(weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()
