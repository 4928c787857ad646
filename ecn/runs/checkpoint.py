"""A run on disk: what was trained, on what, and the best weights so far.

A run is a folder with

* ``config.json``, written once, before the first epoch: everything needed to make the model
  again, to turn a structure into its input and to say what its output means;
* ``model.safetensors``, replaced whole at every better epoch, with that epoch's number and
  score and a digest of the weights in its header;
* ``metrics.csv``, a line per epoch.

Nothing is pickled. A run of an earlier format is brought up to date as it is read, so that it can be
read for ever: a change of the format is a new `FORMAT_VERSION`, a function in `_UPDATES`, and a small
run of the new version in ``tests/ecn/checkpoints``. A new setting of training is none: earlier runs had it
at the value of the preset ``paper``, and are read so.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecn.models import settings
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ecn.models.base import CrystalModel
    from ecn.targets.goal import Goal

#: Of the folder's layout; raised with every change of it.
FORMAT_VERSION = 3

CONFIG, WEIGHTS, METRICS = "config.json", "model.safetensors", "metrics.csv"

_PACKAGES = ("mpclean", "lightning", "numpy", "pyarrow", "safetensors", "torch")


def git_revision() -> str | None:
    """Find the commit of the code that runs, ending in ``-dirty`` where files differ from it.

    Returns
    -------
    40 hexadecimal digits; None where the code is installed and no checkout, or there is no git.
    """
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        # A folder of packages may lie in a checkout of something else, which says nothing of us.
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True)
        described = [*git, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(described, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@dataclass(frozen=True)
class TrainedOn:
    """The release that a run was trained on."""

    path: str
    """Its folder, absolute; its name where the run was exported."""
    name: str
    """Its name."""
    version: str
    """Its version."""
    content_hash: str
    """Its content hash, 64 hexadecimal digits."""
    synthetic: bool
    """Whether its labels are made up."""
    split: str | None
    """Name of the split; None for the one that it was built with."""
    split_sha256: str | None
    """SHA-256 of the file of that split."""


@dataclass(frozen=True)
class Featuriser:
    """How a release turned a crystal into a graph, and by which rules crystals were kept."""

    # A kind that is not known must never be taken for another: its predictions would mean nothing.
    bonds: Literal["voronoi", "radius"]
    """How bonds were found, see `mpclean.pipeline.steps.Bonds`."""
    min_area: float
    """Smallest face of a bond, A^2."""
    cutoff: float
    """Longest edge of a radius graph, A."""
    rules: list[str]
    """Names of the rules, in their order."""
    rule_parameters: dict[str, Any] | None = None
    """Parameters by rule and field; None for the defaults, as in runs before rules had parameters."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run was made of, resolved: nothing is left to a default."""

    targets: list[dict[str, Any]]
    """What every output is: a task, with the units that it was learned in; see `Goal.to_json`."""
    model: str
    """As `ecn.models.resolve` takes it."""
    model_options: dict[str, Any]
    """Every field of the model's ``Config``."""
    preset: str
    """Name of the preset that the settings started from."""
    training: dict[str, Any]
    """Every field of `ecn.training.presets.Preset` but `options`, after the user's changes."""
    seed: int
    """Seed of weights, order and draws."""
    limit: int | None
    """Training rows that were asked for; None for all."""
    time_limit: float | None
    """Minutes that were allowed; None for no limit."""
    start: dict[str, str] | None
    """Name and ``checkpoint_hash`` of the run whose weights the training started from; None for none."""
    fold: list[int] | None
    """Which fold, from 1, of how many was held back for validation; None for the validation part."""
    coverage: dict[str, Any] | None
    """Ranges of the training rows, see `ecn.training.coverage.Coverage`; None of runs before format 3."""
    n_train: int
    """Rows trained on."""
    n_validation: int
    """Rows that the best epoch was chosen by."""
    release: TrainedOn
    """Of the training data."""
    featuriser: Featuriser
    """How crystals became graphs."""
    packages: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _PACKAGES})
    """Versions of the packages that had a hand in it."""
    git_revision: str | None = field(default_factory=git_revision)
    """Commit of the code, where it ran from a checkout."""
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
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {"epoch": str(epoch), "score": repr(score), "digest": digest_of(weights)}
    save_tensors(run / WEIGHTS, weights, header)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file of safetensors, so that a full disk leaves the one that was there before.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def write(partial: Path) -> None:
        try:
            save_file(tensors, partial, metadata=metadata)
        except SafetensorError as error:  # it wraps the errors of the system
            said = re.search(r"os error (\d+)", str(error))
            number = int(said[1]) if said else errno.EIO
            words = os.strerror(number) if said else str(error).splitlines()[0]
            raise OSError(number, words, str(partial)) from error

    replace_file(path, write)


def load(run: Path) -> Checkpoint:
    """Read a run.

    Parameters
    ----------
    run
        Folder of the run.

    Raises
    ------
    UserError
        If it is not a run, holds no weights yet, was written by a later version, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    from ecn.models import build

    config = load_config(run)
    goal = load_goal(run, config)
    path = run / WEIGHTS
    if not path.is_file():
        raise UserError(
            f"{run}: has no {WEIGHTS}: its training ended before the first epoch did; resume it, or repeat it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _require_sizes(run / CONFIG, config, shapes)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        model = build(config.model, config.model_options)
        model.load_state_dict(weights)
        digest, epoch = header["digest"], int(header["epoch"])
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged, or not weights of a {config.model!r} model ({reason})") from error
    if digest != digest_of(weights):
        raise UserError(f"{path}: damaged, its digest does not match; train again or restore it")
    return Checkpoint(run, config, goal, model.eval(), epoch, digest)


def _require_sizes(path: Path, config: RunConfig, shapes: dict[str, tuple[int, ...]]) -> None:
    """Hold the sizes in a configuration against the weights, before anything of those sizes is allocated.

    Parameters
    ----------
    path
        The file of the configuration, for messages.
    config
        What it says.
    shapes
        Of the stored weights by name, from the header of their file.

    Raises
    ------
    UserError
        If a model of these sizes has other weights.
    """
    import torch

    from ecn.models import MODELS, build

    # Every layer has a weight, and making layers takes time even where they take no memory.
    layers = config.model_options.get("n_layers", 0)
    if isinstance(layers, int) and layers > len(shapes):
        raise UserError(f"{path}: damaged, n_layers = {layers}, but {WEIGHTS} holds {len(shapes)} tensors")
    try:
        with torch.device("meta"):  # tensors that have a shape and no memory
            expected = {
                name: tuple(tensor.shape)
                for name, tensor in build(config.model, config.model_options).state_dict().items()
            }
    except (RuntimeError, OverflowError, TypeError):
        # Layers of other packages may compute as they are made, which needs memory. Sizes of our own models
        # that do are sides of some weight; `load_state_dict` compares the rest.
        largest = max((side for shape in shapes.values() for side in shape), default=0)
        for name, size in config.model_options.items():
            if config.model in MODELS and type(size) is int and size > max(largest, len(shapes)):
                raise UserError(
                    f"{path}: damaged, {name} = {size}, but no side of the weights in {WEIGHTS} is longer "
                    f"than {largest}"
                ) from None
        return
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            found, wanted = (list(kind[name]) if name in kind else "absent" for kind in (shapes, expected))
            raise UserError(
                f"{path.with_name(WEIGHTS)}: not weights of a {config.model!r} model with the sizes of "
                f"{CONFIG} ({name} is {found} there and would be {wanted}); restore both files or train again"
            )


def load_goal(run: Path, config: RunConfig) -> Goal:
    """Say what a run is trained for.

    Raises
    ------
    UserError
        If its targets cannot be read.
    """
    from ecn.targets.goal import Goal, Target

    try:
        goal = Goal.from_json(config.targets)
        for target in goal.targets:
            settings.check(f"{run / CONFIG}: damaged, a target", Target, vars(target))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{run / CONFIG}: damaged, its targets cannot be read ({error}); restore the file or train again"
        ) from error
    return goal


def load_config(run: Path) -> RunConfig:
    """Read ``config.json`` of a run.

    Raises
    ------
    UserError
        If it is not a run, was written by a later version, or is damaged.
    """
    path = run / CONFIG
    if not path.is_file():
        raise UserError(f"{run}: not a run of `ecn fit` (it has no {CONFIG})")
    try:
        content = json.loads(path.read_text())
        found = content["format_version"]
        if type(found) is not int or found < 1:  # True is an int, too
            raise UserError(f"damaged, format version {found!r:.40} is no positive integer")
        for version in range(found, FORMAT_VERSION):
            content = {**_UPDATES[version](content), "format_version": version + 1}
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged, or not written by `ecn fit`") from error
    if found > FORMAT_VERSION:
        raise UserError(f"{path}: format version {found}, but this ecn reads {FORMAT_VERSION}; upgrade ecn")
    expected = {f.name for f in fields(RunConfig)}
    if set(content) != expected:
        raise UserError(f"{path}: damaged, entries {sorted(set(content) ^ expected)} are missing or unknown")
    for name, kind in (("release", TrainedOn), ("featuriser", Featuriser)):
        required = {f.name for f in fields(kind) if f.default is MISSING}
        if not isinstance(content[name], dict) or not required <= content[name].keys():
            raise UserError(
                f"{path}: damaged, {name} lacks some of the entries {', '.join(sorted(required))}"
            )
        settings.check(f"{path}: damaged, {name}", kind, content[name])
        content[name] = kind(**content[name])
    settings.check(f"{path}: damaged, a run", RunConfig, content, may_be_zero=["seed"])
    _require_sensible(path, content)
    return RunConfig(**content)


def _require_sensible(path: Path, content: dict[str, Any]) -> None:
    """Refuse values of the right type that no training wrote."""
    featuriser = content["featuriser"]
    for name in ("min_area", "cutoff"):
        value = getattr(featuriser, name)
        if not 0 <= value < math.inf:  # JSON of Python has NaN and Infinity
            raise UserError(f"{path}: damaged, featuriser: {name} = {value!r} is not a length or an area")
    if not all(isinstance(rule, str) for rule in featuriser.rules):
        raise UserError(f"{path}: damaged, featuriser: rules = {featuriser.rules!r:.80} are not names")
    if content["fold"] is not None:
        fold = content["fold"]
        if len(fold) != 2 or any(type(n) is not int for n in fold) or not 1 <= fold[0] <= fold[1]:
            raise UserError(f"{path}: damaged, fold = {fold!r:.80} is not which of how many, such as [1, 5]")


def _from_1(content: dict[str, Any]) -> dict[str, Any]:
    """Format 2 has several targets, the revision of the code, the rules, and more settings of training."""
    from ecn.targets.goal import Goal

    # Graphs of a radius were those of Perov-5 only, which has but one rule.
    rules = ["record", "duplicate", "size", "dimensionality", "graph"]
    fixed = {
        "batch_edges": None,
        "max_edges": None,
        "precision": "32-true",
        "loss": "mse",
        "clip_norm": None,
        "warmup_epochs": 0.0,
        "average_decay": None,
    }
    goal = Goal.named(str(content["target"]))
    if content["unit"] != goal.tasks[0].unit:
        raise UserError(f"damaged, {goal.name} in {content['unit']!r} and not in {goal.tasks[0].unit}")
    (target,) = goal.to_json()
    target |= {name: content[name] for name in ("shift", "scale", "train_mean")}
    gone = ("target", "unit", "shift", "scale", "train_mean")
    return {
        **{name: value for name, value in content.items() if name not in gone},
        "targets": [target],
        "git_revision": None,
        "training": {**fixed, **content["training"]},
        "release": {"split": None, "split_sha256": None, **content["release"]},
        "featuriser": {
            "rules": ["record"] if content["featuriser"]["bonds"] == "radius" else rules,
            **content["featuriser"],
        },
    }


def _from_2(content: dict[str, Any]) -> dict[str, Any]:
    """Format 3 says what a training started from, which fold it held back, and what its rows were like."""
    return {"start": None, "fold": None, "coverage": None, **content}


#: From each earlier format to the next one, as functions of ``config.json``.
_UPDATES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}


def joint_digest(members: Sequence[Checkpoint]) -> str:
    """Give the digest of the weights of a run; of several members, one over theirs."""
    if len(members) == 1:
        return members[0].digest
    return hashlib.sha256(" ".join(member.digest for member in members).encode()).hexdigest()


def digest_of(tensors: dict[str, Tensor]) -> str:
    """Compute the SHA-256 of tensors with their names, in the order of these."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
