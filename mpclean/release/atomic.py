"""How a release comes into being whole: written beside its place, and moved there when it is finished."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mpclean.errors import UserError
from mpclean.release.layout import is_release

#: Ending of a file that is still being written; one that is left over is worthless.
PARTIAL = ".partial"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader, or a process killed at any moment, leaves the old or the new one whole.

    Parameters
    ----------
    path
        The file to make or to replace.
    write
        Called with the path of a new file beside it, which then takes its name.
    """
    partial = path.with_name(path.name + PARTIAL)
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())  # the name must not be there before the bytes are
    partial.replace(path)


@contextmanager
def staging_folder(out: Path) -> Iterator[Path]:
    """Return a folder beside the target for unfinished work, held by one command at a time.

    It goes with the block, however that ends.

    Parameters
    ----------
    out
        Folder that the release will have.

    Raises
    ------
    UserError
        If the target is no folder of its own, or another command is writing this release.
    """
    if out.name in ("", ".."):
        raise UserError(f"{out}: a release needs a folder of its own; give --out DIR/NAME")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = beside(out, "building")
    with _lock(out):
        if beside(out, "replaced").exists() and not out.exists():
            beside(out, "replaced").rename(out)  # a command was killed between its last two steps
        shutil.rmtree(folder, ignore_errors=True)  # what a killed command left
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def require_free(out: Path, force: bool) -> None:
    """Refuse a target that is taken.

    Parameters
    ----------
    out
        Folder that the release will have.
    force
        Whether a release that is there may be replaced; anything else never is.

    Raises
    ------
    UserError
        If it may not.
    """
    if not out.exists():
        return
    if not force:
        raise UserError(f"{out} exists already; choose another --out, or replace it with --force")
    if not is_release(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            f"{out} exists and is no release, so --force does not replace it; choose another --out"
        )


def move_into_place(new: Path, out: Path) -> None:
    """Put a finished release where it belongs; one that was there goes only then.

    Parameters
    ----------
    new
        The finished release, in `staging_folder`.
    out
        Where it belongs.
    """
    if out.exists() and _exchange(new, out):
        return  # what was there goes with the staging folder
    old = beside(out, "replaced")
    if old.is_dir():
        shutil.rmtree(old)
    old.unlink(missing_ok=True)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step, so that nobody finds neither; False where none does that."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)  # Linux
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <fcntl.h> and <stdio.h>
    return renameat2 is not None and not renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange)


def beside(out: Path, role: str) -> Path:
    """Give a place beside a release, on the same disk, hidden and named after it."""
    return out.parent / f".{out.name}.{role}"


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Hold the one lock on a target; it goes with the process, however that ends."""
    path = beside(out, "lock")
    while True:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{out}: another command is writing this release; wait for it") from None
            # The command before us may have removed the file between our opening and locking it.
            if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
