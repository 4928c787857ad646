"""Equivariant crystal networks: learn properties of crystals from clean releases.

Source: Kaba & Ravanbakhsh, *Equivariant Networks for Crystal Structures*, NeurIPS 2022
(arXiv 2211.15420).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecn.predict import Predictor

__all__ = ["load"]


def load(run: str | Path) -> Predictor:
    """Load a trained model; ``load(run).predict([structure, ...])`` gives numbers with units.

    torch is imported here, not before.

    Parameters
    ----------
    run
        Folder of a run of ``ecn fit``.

    Raises
    ------
    ecn.errors.UserError
        If it is no run, or a damaged one.
    """
    from ecn.predict import load as load_run

    return load_run(run)
