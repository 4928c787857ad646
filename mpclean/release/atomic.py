"""How a release comes into being whole: written beside its place, and moved there when it is finished."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mpclean.errors import NO_ROOM, UserError
from mpclean.release.layout import MANIFEST, is_release

#: A file in every staging folder, which says whose it is.
_MARK = ".mpclean"

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

    Raises
    ------
    UserError
        As `replaced_file`.
    """
    with replaced_file(path) as partial:
        write(partial)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give a new empty file beside a path, which takes its name when the block ends, and goes if it raises.

    Parameters
    ----------
    path
        The file to make or to replace; behind a symbolic link, where that points.

    Raises
    ------
    UserError
        If something is there that is no file, such as a device or a folder, or stands in the way.
    OSError
        If the file cannot be written; it is named as it was given.
    """
    target = _behind(path)
    if target.exists() and not target.is_file():  # a device must not give its name to a file
        raise UserError(f"{path}: exists and is not a regular file; name another one")
    partial = target.with_name(target.name + PARTIAL)
    if partial.is_symlink() or (partial.exists() and not partial.is_file()):
        raise UserError(f"{partial}: in the way, and not made by this program; move it elsewhere")
    with _named(path, (partial,)):
        partial.unlink(missing_ok=True)
        partial.touch(exist_ok=False)  # not through a link that came there since
        mode = partial.stat().st_mode
        try:
            yield partial
            partial.chmod(mode)  # some libraries write one that only its owner may read
            with partial.open("rb") as file:
                os.fsync(file.fileno())  # the name must not be there before the bytes are
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _named(path: Path, ours: tuple[Path, ...]) -> Iterator[None]:
    """Let errors of the system speak of what a person asked to be written, and not of our files beside it."""
    try:
        yield
    except OSError as error:
        name = error.filename
        within = isinstance(name, str | Path) and any(Path(name).is_relative_to(own) for own in ours)
        if within or (name is None and error.errno in (*NO_ROOM, errno.EROFS)):  # Arrow names no file
            error.filename, error.filename2 = str(path), None
        raise


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
    folder = beside(out, "building")
    ours = tuple(beside(out, role) for role in ("lock", "building", "replaced", "unfinished"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(out.parent)) from None
    with _named(out, ours), _lock(out):
        old = beside(out, "replaced")
        if is_release(old) and not out.exists():
            old.rename(_behind(out))  # a command was killed between its last two steps
        _remove_own(folder)  # what a killed command left
        folder.mkdir()
        (folder / _MARK).touch()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_own(folder: Path) -> None:
    """Remove a staging folder that a killed command left; what anybody else put there stays."""
    if not (folder.exists() or folder.is_symlink()):
        return
    ours = folder.is_dir() and not folder.is_symlink()
    if not ours or (any(folder.iterdir()) and not (folder / _MARK).is_file()):
        raise UserError(f"{folder}: in the way, and not made by this program; move it elsewhere")
    shutil.rmtree(folder)


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
    if is_release(out) and (strangers := _strangers(out)):
        raise UserError(
            f"{out}: holds files that are no part of the release ({strangers[0]}), so --force does not "
            "replace it; move them elsewhere, or choose another --out"
        )


def _strangers(release: Path) -> list[str]:
    """Names of the files in a release that its manifest does not list: a person's own."""
    from mpclean.release.manifest import load_manifest

    try:
        known = {MANIFEST, *load_manifest(release).files}
    except UserError as error:
        raise UserError(
            f"{release}: cannot tell whose the files in it are, so --force does not replace it ({error}); "
            "remove it yourself, or choose another --out"
        ) from None
    here = (path for path in release.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted({path.relative_to(release).as_posix() for path in here} - known)


def move_into_place(new: Path, out: Path, replace: bool = False) -> None:
    """Put a finished file or folder where it belongs; a release that was there goes only then.

    Parameters
    ----------
    new
        The finished work, in `staging_folder`.
    out
        Where it belongs; behind a symbolic link, where that points.
    replace
        Whether a release, or an empty folder, may be there. Nothing else ever is replaced, not even
        what came there since the command looked.

    Raises
    ------
    UserError
        If something is there that may not be replaced; it stays as it is.
    """
    out = _behind(out)
    if not out.exists():
        return _into_free_place(new, out)
    if not replace or not (is_release(out) or (out.is_dir() and not any(out.iterdir()))):
        raise _taken(out)
    if _rename(new, out, _EXCHANGE):
        if not (is_release(new) or not any(new.iterdir())):  # another one came there in between
            _rename(new, out, _EXCHANGE)
            raise _taken(out)
        return None  # what was there goes with the staging folder
    old = beside(out, "replaced")
    if old.exists() or old.is_symlink():
        if not is_release(old) or old.is_symlink():
            raise UserError(f"{old}: in the way, and not made by this program; move it elsewhere")
        shutil.rmtree(old)
    out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return None


def _taken(out: Path) -> UserError:
    return UserError(f"{out}: came to be while this command worked, and is kept; choose another --out")


def _into_free_place(new: Path, out: Path) -> None:
    if _rename(new, out, _NO_REPLACE):
        return
    if out.exists() or out.is_symlink():
        raise _taken(out)
    new.rename(out)  # a file system that cannot refuse to replace


# Flags of renameat2, <linux/fs.h>: fail where something is there; let two paths change places in one step,
# so that nobody finds neither.
_NO_REPLACE, _EXCHANGE = 1, 2


def _rename(one: Path, other: Path, flag: int) -> bool:
    """Rename on Linux with a flag of renameat2; False where that cannot be done."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    here = -100  # AT_FDCWD of <fcntl.h>
    return renameat2 is not None and not renameat2(here, os.fsencode(one), here, os.fsencode(other), flag)


def _behind(out: Path) -> Path:
    """Where a path leads: a release behind a symbolic link stays there, and the link stays a link."""
    return out.resolve() if out.is_symlink() else out


def beside(out: Path, role: str) -> Path:
    """Give a place beside a release, on the same disk, hidden and named after it."""
    out = _behind(out)
    return out.parent / f".{out.name}.{role}"


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Hold the one lock on a target; it goes with the process, however that ends."""
    path = beside(out, "lock")
    if path.is_symlink() or (path.exists() and (not path.is_file() or path.stat().st_size)):
        raise UserError(f"{path}: in the way, and not made by this program; move it elsewhere")
    lock = FileLock(path, timeout=0)
    try:
        try:
            lock.acquire()
        except Timeout:
            if path.exists():
                raise
            path.touch()  # where no file can be made, as in /proc, the system says so
            lock.acquire()
    except Timeout:
        raise UserError(f"{out}: another command is writing it; wait for that") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held, so that nobody removes that of the next
        lock.release()
