"""The models that ship: a folder each, as ``ecn export`` writes it, with a card of its measured errors."""

from __future__ import annotations

from pathlib import Path

from ecn.runs.checkpoint import CONFIG

_HERE = Path(__file__).parent


def references() -> dict[str, Path]:
    """Find the folders of the models that ship, by their names."""
    return {path.parent.name: path.parent for path in sorted(_HERE.glob(f"*/{CONFIG}"))}
