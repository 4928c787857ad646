"""Where a run is that a user names: on disk, in the package, or on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from ecn.reference import references
from mpclean.errors import UserError, closest


def locate(name: str | Path) -> Path:
    """Find the folder of a run.

    Parameters
    ----------
    name
        A folder, which comes first where there is one; else the name of a reference model
        (`ecn.reference`); else ``ORG/NAME`` on the Hugging Face Hub, or ``ORG/NAME@REVISION`` with
        a branch, a tag or a commit. What is a `Path` is a folder and nothing else.

    Raises
    ------
    UserError
        If it is none of these, or the Hub cannot be asked.
    """
    folder = Path(name)
    if isinstance(name, Path) or folder.exists():
        return folder
    shipped = references()
    if name in shipped:
        return shipped[name]
    repo, _, revision = name.partition("@")
    if folder.is_absolute() or repo.count("/") != 1 or repo.startswith(("./", "../")):
        raise UserError(f"{name}: no such folder; {closest('reference model', str(name), shipped)}")
    from ecn.runs.hub import pull

    try:
        return pull(repo, revision or "main")
    except UserError as error:
        raise UserError(f"{name}: no such folder; on the Hub, {error}") from error
