"""Finished batches of an unfinished build, kept beside its release until that is whole.

A build that is killed or interrupted goes on from here when the same command is given again.
What the same command is, is a fingerprint: of the source, of every parameter that the work on
crystals depends on, of the code and of the libraries. Another one finds nothing that it could
use, and removes it.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mpclean.errors import UnfinishedError, UserError
from mpclean.release.atomic import beside
from mpclean.vocabulary.checks import require

_FINGERPRINT = "fingerprint"
_WHOLE = "whole"

#: Packages whose version can change a result.
LIBRARIES = ("mpclean", "moyopy", "numba", "numpy", "pyarrow", "pymatgen", "scipy", "spglib")


class BatchFiles:
    """The finished batches of one pass, each in a file that is either whole or not there.

    Parameters
    ----------
    folder
        Where they lie; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._numbers = {int(path.stem) for path in folder.glob("*.arrow")}

    @property
    def whole(self) -> bool:
        """Whether the pass came to its end."""
        return (self._folder / _WHOLE).exists()

    def end(self) -> None:
        """Note that the pass came to its end."""
        (self._folder / _WHOLE).touch()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self._path(number).stat().st_size for number in self._numbers)

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._numbers))

    def write(self, number: int, batch: pa.RecordBatch) -> None:
        """Keep a batch under its number."""
        path = self._path(number)
        require(batch, batch.schema, f"batch {number} of {self._folder.name} records")
        partial = path.with_suffix(".partial")
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        partial.replace(path)
        self._numbers.add(number)

    def read(
        self, number: int, columns: list[str] | None = None, rows: NDArray[np.integer] | None = None
    ) -> pa.RecordBatch:
        """Read a batch, or some of its columns, of some rows; these lie in memory and not in the file."""
        with pa.memory_map(str(self._path(number))) as file, pa.ipc.open_file(file) as reader:
            batch = reader.get_batch(0)
            if columns is None:
                return batch
            return batch.select(columns).take(pa.array(np.arange(batch.num_rows) if rows is None else rows))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.arrow"


@contextmanager
def unfinished(out: Path, facts: dict[str, Any], staging: Path) -> Iterator[Path]:
    """Find the folder of the finished batches of a build; the caller holds the lock on its release.

    It stays where the build is killed, interrupted, or stopped by the machine, and a note on the
    error says so. It goes with a build that comes to its end, or that would fail again.

    Parameters
    ----------
    out
        Folder that the release will have.
    facts
        All that the batches depend on, besides the code and the libraries.
    staging
        The folder of `mpclean.release.atomic.staging_folder` for this release.
    """
    folder = beside(out, "unfinished")
    fingerprint = _fingerprint(facts)
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and _is_ours(folder))):
        raise UserError(f"{folder}: in the way, and not made by this program; move it elsewhere")
    if not (folder / _FINGERPRINT).is_file() or (folder / _FINGERPRINT).read_text() != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / _FINGERPRINT).write_text(fingerprint)
    elif n_files := len(list(folder.rglob("*.arrow"))):
        print(f"going on from {n_files} batches that an earlier command finished", file=sys.stderr)
    try:
        yield folder
    except (KeyboardInterrupt, OSError, MemoryError, UnfinishedError) as error:
        sizes = [path.stat().st_size for path in folder.rglob("*.arrow")]
        if not sizes:
            shutil.rmtree(folder, ignore_errors=True)
            error.add_note("no batch was finished: the same command begins anew.")
            raise
        error.add_note(
            f"{len(sizes)} finished batches ({sum(sizes) / 1e6:.1f} MB) are kept in {folder}: the same "
            "command goes on from there; another one removes them, and so may you."
        )
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # Removing thousands of files takes a while; what a killed command left there, the next one removes.
    folder.rename(staging / "unfinished")


def _is_ours(folder: Path) -> bool:
    """Whether a folder of finished batches is one, or is empty: a build may be killed before it says more."""
    return (folder / _FINGERPRINT).is_file() or not any(folder.iterdir())


def _fingerprint(facts: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted((*package.rglob("*.py"), *package.rglob("*.toml"))):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    versions = {name: package_version(name) for name in LIBRARIES}
    digest.update(repr((sorted(versions.items()), sorted(facts.items()))).encode())
    return digest.hexdigest()
