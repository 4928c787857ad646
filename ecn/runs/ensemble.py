"""Ensembles: several runs for the same targets that predict together, kept in one folder.

The folder of an ensemble holds ``ensemble.json`` and a folder for every member, each a run like any other.
"""

from __future__ import annotations

import json
from pathlib import Path

from ecn.runs import checkpoint
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file

#: Lists the folders of the members.
ENSEMBLE = "ensemble.json"


def save_ensemble(folder: Path, members: list[str]) -> None:
    """Write ``ensemble.json``, the names of the members' folders, after their trainings."""
    text = json.dumps({"members": members}, indent=2) + "\n"
    replace_file(folder / ENSEMBLE, lambda path: path.write_text(text))


def member_folders(run: Path) -> list[Path]:
    """Give the folders of the members of an ensemble, or the folder itself of a single run.

    Raises
    ------
    UserError
        If ``ensemble.json`` is damaged.
    """
    path = run / ENSEMBLE
    if not path.is_file():
        return [run]
    try:
        names = json.loads(path.read_text())["members"]
        if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise ValueError(names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; train the ensemble again") from error
    return [run / name for name in names]


def load_members(run: Path) -> list[checkpoint.Checkpoint]:
    """Load the members of an ensemble, or the one model of a single run.

    Raises
    ------
    UserError
        As of `ecn.runs.checkpoint.load`, for any of the members.
    """
    return [checkpoint.load(folder) for folder in member_folders(run)]
