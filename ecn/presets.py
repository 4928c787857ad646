"""How a network is trained: named settings, each value stated once. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


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
    learning_rate: float = 1e-3
    """Of AdamW, at the start."""
    weight_decay: float = 1e-15
    """Of AdamW."""
    schedule: Literal["plateau", "cosine"] = "plateau"
    """How the learning rate falls: by a factor where the validation score has stalled for a
    number of epochs, or along a half cosine to zero over the steps (or the time) allowed."""
    plateau_factor: float = 0.5
    """Factor on the learning rate where the validation score has stalled."""
    plateau_patience: int = 25
    """Epochs without a better validation score before the learning rate falls."""
    min_learning_rate: float = 1e-6
    """Training ends when a plateau has brought the learning rate down to this."""
    standardise: bool = False
    """Whether a numeric target is learned in units of its deviation, about its mean."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of the models, by their names in `ecn.models.MODELS`; a model that is not named
    has the defaults of its ``Config``, which are those of its own paper."""


#: Presets by name. `reduced` holds the settings that the paper compared its networks with, where
#: they are smaller than those of the baselines' own papers (`ecn.models.cgcnn` and `megnet`), and
#: trains as `paper` does. `fast` is a small network on the quotient graph: the demo in about a
#: minute, 20,000 crystals of the Materials Project in some ten minutes on one core.
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
    "fast": Preset(
        epochs=30,
        batch_size=64,
        learning_rate=3e-3,
        schedule="cosine",
        standardise=True,
        options={"ecn": {"width": 64, "n_layers": 3, "symmetry_breaking": False}},
    ),
}
