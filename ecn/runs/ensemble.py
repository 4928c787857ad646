"""Ensembles: several runs for the same targets that predict together, kept in one folder.

The folder of an ensemble holds ``ensemble.json`` and a folder for every member, each a run like any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecn.runs import checkpoint
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file

#: Lists the folders of the members.
ENSEMBLE = "ensemble.json"


def save_ensemble(folder: Path, members: list[str], plan: dict[str, Any]) -> None:
    """Write ``ensemble.json``: the names of the members' folders, and what they are trained from.

    Parameters
    ----------
    folder
        Folder of the ensemble.
    members
        Names of folders in it.
    plan
        JSON values that `ecn.training.start.resume_fit` trains the missing members from.
    """
    text = json.dumps({"members": members, "plan": plan}, indent=2) + "\n"
    replace_file(folder / ENSEMBLE, lambda path: path.write_text(text))


def is_ensemble(run: Path) -> bool:
    """Tell whether a folder is that of an ensemble, rather than of a single run."""
    return (run / ENSEMBLE).is_file()


def load_plan(run: Path) -> dict[str, Any]:
    """Read what the members of an ensemble are trained from; see `save_ensemble`."""
    return dict(_read(run)["plan"])


def _read(run: Path) -> dict[str, Any]:
    path = run / ENSEMBLE
    try:
        content = json.loads(path.read_text())
        names = content["members"]
        if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise ValueError(names)
        if not isinstance(content["plan"], dict):
            raise TypeError("plan")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; train the ensemble again") from error
    return dict(content)


def member_folders(run: Path) -> list[Path]:
    """Give the folders of the members of an ensemble, or the folder itself of a single run.

    Raises
    ------
    UserError
        If ``ensemble.json`` is damaged.
    """
    return [run / name for name in _read(run)["members"]] if is_ensemble(run) else [run]


def load_members(run: Path) -> list[checkpoint.Checkpoint]:
    """Load the members of an ensemble, or the one model of a single run.

    Raises
    ------
    UserError
        As of `ecn.runs.checkpoint.load`, for any of the members.
    """
    return [checkpoint.load(folder) for folder in member_folders(run)]
