"""How a network is trained: named settings, each value stated once. No torch."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from ecn.models import REGISTRY, settings
from mpclean.errors import UserError, closest

#: Where the numbers of a training may go besides ``metrics.csv``, see `ecn.training.logs`.
LOGGERS = ("tensorboard", "wandb")


@dataclass(frozen=True)
class Preset:
    """Settings of a training; the defaults are those of the paper's networks.

    Source: Kaba & Ravanbakhsh 2022 (arXiv 2211.15420), sections 7 and A.7, and its published
    settings where the text leaves a choice open.
    """

    epochs: int = 1000
    """Passes over the training rows, at most."""
    batch_size: int = 128
    """Crystals per step."""
    batch_edges: int | None = None
    """Bonds and atoms of primitive cells per step at most, equal ones once (`ecn.data.reduction`), instead
    of a number of crystals."""
    max_edges: int | None = None
    """Edges of the model's own graph that are held in memory at a time: a step is made of as many
    passes as that takes, whose gradients are accumulated. Null for what suits the device."""
    data_memory: float | None = None
    """GiB of the device's memory for the crystals; if they need more, they are read from disk in every epoch,
    which changes the order of the rows. Null for half of the free memory; a run says which it did."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    """Floating point precision: single, half where it does no harm (mixed), or double."""
    loss: Literal["mse", "l1", "huber"] = "mse"
    """Loss of numeric targets: squared errors, absolute errors, or squared up to `huber_delta` and absolute
    beyond."""
    huber_delta: float = 1.0
    """Where the loss `huber` turns from squared to absolute errors: in standard deviations of the labels if
    the target is standardised, else in its unit."""
    standardise: bool = False
    """Whether to subtract the mean of a numeric target and divide by its standard deviation."""
    learning_rate: float = 1e-3
    """Initial learning rate of AdamW."""
    weight_decay: float = 1e-15
    """Weight decay of AdamW."""
    clip_norm: float | None = None
    """Largest norm of the gradient of a step; a larger one is scaled down to it."""
    schedule: Literal["plateau", "cosine"] = "plateau"
    """How the learning rate falls: by a factor where the validation score has stalled for a
    number of epochs, or along a half cosine to zero over the epochs (or the time) allowed."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate rises linearly from zero."""
    plateau_factor: float = 0.5
    """Factor on the learning rate where the validation score has stalled."""
    plateau_patience: int = 25
    """Epochs without a better validation score before the learning rate falls."""
    min_learning_rate: float = 1e-6
    """Training ends when a plateau has brought the learning rate down to this."""
    average_decay: float | None = None
    """Decay per step of the running average of the weights that is validated and kept instead of
    the weights themselves, such as 0.999; less in the first steps, (1 + step) / (10 + step)."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the models, by their names, see `ecn.models.resolve`; a model that is not named
    has the defaults of its ``Config``, which are those of its own paper."""


#: Presets by name. `reduced` holds the settings that the paper compared its networks with, where
#: they are smaller than those of the baselines' own papers (`ecn.models.cgcnn` and `megnet`), and
#: trains as `paper` does. `fast` is a small network on the quotient graph: the demo in about a
#: minute, 20,000 crystals of the Materials Project in some ten minutes on one core.
#:
#: `best` is `fast` with what gave a lower validation error in equal time on one core (benchmarks/RESULTS.md,
#: "What a setting is worth"): absolute errors beyond 0.1 standard deviations (huber), since a few labels are
#: far off; weight decay of 0.01; 40 Gaussians of 0.3 A; and, measured on Perov-5, the group S8n. There more
#: channels, the smaller group P1bar, an average of the weights and other rates lost, in the group S8. Not
#: chosen by such a study: batches of 64; lengths that count as equal within 1e-4 A, so that more atoms
#: are computed once (docs/reduction.md); and messages that fade, so that predictions do not jump.
PRESETS = {
    "paper": Preset(),
    "reduced": Preset(
        options={
            "cgcnn": {
                "n_layers": 2,
                "batch_norm": False,
                "activation": "relu",
                "n_centres": 10,
                "basis_stop": 6.0,
                "basis_width": 0.6,
            },
            "megnet": {"n_layers": 2, "basis_stop": 6.0},
        }
    ),
    "best": Preset(
        epochs=100,
        batch_size=64,
        loss="huber",
        huber_delta=0.1,
        standardise=True,
        learning_rate=3e-3,
        weight_decay=0.01,
        schedule="cosine",
        options={
            "ecn": {
                "group": "S8n",
                "width": 64,
                "n_layers": 3,
                "n_centres": 40,
                "basis_width": 0.3,
                "symmetry_breaking": False,
                "same_length": 1e-4,
                "fade_area": 0.3,
                "fade_length": 0.2,
            }
        },
    ),
    "fast": Preset(
        epochs=30,
        batch_size=64,
        learning_rate=3e-3,
        schedule="cosine",
        standardise=True,
        options={"ecn": {"width": 64, "n_layers": 3, "symmetry_breaking": False}},
    ),
}


#: What settings must be beyond their type: in words, which ones, and the check.
_RANGES: tuple[tuple[str, tuple[str, ...], Callable[[float], bool]], ...] = (
    ("positive", ("learning_rate", "clip_norm", "huber_delta", "data_memory"), lambda x: 0 < x < math.inf),
    (
        "zero or more",
        ("weight_decay", "warmup_epochs", "min_learning_rate"),
        lambda x: 0 <= x < math.inf,
    ),
    ("between 0 and 1", ("plateau_factor", "average_decay"), lambda x: 0 < x < 1),
)


def training_settings(preset: Preset) -> dict[str, Any]:
    """Give the settings of a preset without the options of models."""
    return {name: value for name, value in asdict(preset).items() if name != "options"}


def changed(preset: Preset, owner: str, **values: Any) -> Preset:
    """Change values of a preset.

    Parameters
    ----------
    preset
        What to start from.
    owner
        What the values come from, for messages.
    values
        By the names of its fields.

    Raises
    ------
    UserError
        If there is no such setting, or it cannot have such a value.
    """
    settings.check(owner, Preset, values, may_be_zero=["plateau_patience"])
    new = replace(preset, **values)
    for words, names, serves in _RANGES:
        for name in names:
            value = getattr(new, name)
            if value is not None and not serves(value):
                raise UserError(f"{owner}: {name} = {value} is not {words}")
    for model, options in new.options.items():
        if model not in REGISTRY.names() and ":" not in model:
            raise UserError(f"{owner}: options of an {closest('model', model, REGISTRY.names())}")
        if not isinstance(options, dict):
            raise UserError(
                f"{owner}: options of {model} = {options!r} is not a mapping; write them as name: value"
            )
    return new


def with_options(preset: Preset, assigned: dict[str, Any]) -> Preset:
    """Change options of models in a preset.

    Parameters
    ----------
    preset
        What to start from.
    assigned
        Values by MODEL.NAME.

    Raises
    ------
    UserError
        If a name has no model in it.
    """
    options = {model: dict(of_model) for model, of_model in preset.options.items()}
    for name, value in assigned.items():
        model, _, option = name.partition(".")
        if not option:
            raise UserError(
                f"--set {name}: not a training setting; to set an option of a model, write MODEL.{name}=VALUE"
            )
        options.setdefault(model, {})[option] = value
    return replace(preset, options=options)


def to_yaml(preset: Preset) -> str:
    """Write a preset as the file that ``ecn fit --config`` reads, with the meaning of every setting."""
    lines = []
    for name, value in asdict(preset).items():
        lines += textwrap.wrap(
            settings.meanings(Preset)[name], 100, initial_indent="# ", subsequent_indent="# "
        )
        lines.append(yaml.safe_dump({name: value}, sort_keys=False).rstrip())
    return "\n".join(lines) + "\n"


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everywhere else; YAML 1.1 wants 1.0e-3."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def from_yaml(path: Path) -> Preset:
    """Read a file of settings; those that it leaves out are the preset's named ``paper``.

    Raises
    ------
    UserError
        If it cannot be read, or a setting is unknown or has no such value.
    """
    try:
        values = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{path}: not a file of settings; `ecn presets fast` prints one")
    return changed(PRESETS["paper"], str(path), **values)
