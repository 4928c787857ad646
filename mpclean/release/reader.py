"""Open a release that was built or fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mpclean.errors import UserError
from mpclean.release.digest import file_sha256
from mpclean.release.layout import LEDGER, LISTED, MANIFEST
from mpclean.release.manifest import Manifest, load_manifest
from mpclean.schema import SPLITS


class Release:
    """A release on disk; tables are read when they are asked for.

    Attributes
    ----------
    path
        Its folder.
    manifest
        The manifest, as read.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def content_hash(self) -> str:
        """Hash over the rows of data, splits and ledger, hexadecimal."""
        return str(self.manifest["content_hash"])

    def table(self, split: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of the release with the columns of `mpclean.schema.RELEASE` and its source's labels.

        Parameters
        ----------
        split
            ``train``, ``validation`` or ``test``; all of them by default. A split without
            rows gives an empty table.
        columns
            Names of columns, in the order wanted; all by default.

        Raises
        ------
        UserError
            If the split or a column is unknown, or a shard cannot be read.
        """
        if split is not None and split not in SPLITS:
            raise UserError(f"{self.path}: unknown split {split!r}; known are {', '.join(SPLITS)}")
        known = self.manifest["columns"]
        for name in columns or ():
            if name not in known:
                raise UserError(f"{self.path}: no column {name!r}; it has {', '.join(known)}")
        wanted = SPLITS if split is None else (split,)
        shards = [
            path
            for name in wanted
            for path in sorted(self.manifest["files"])
            if path.startswith(f"data/{name}-")
        ]
        if not shards:  # a split without rows: the schema of any other shard
            whole = sorted(path for path in self.manifest["files"] if path.startswith("data/"))
            return self._read(whole[0], columns).slice(0, 0)
        return pa.concat_tables([self._read(path, columns) for path in shards])

    def ledger(self) -> pa.Table:
        """Every record that left, with the columns of `mpclean.schema.LEDGER`."""
        return self._read(LEDGER, None)

    def listed(self) -> pa.Table:
        """The whole published list that a replay was compared with, as `mpclean.schema.SPLIT`.

        Raises
        ------
        UserError
            If the release is no replay, or the list cannot be read.
        """
        if LISTED not in self.manifest["files"]:
            raise UserError(
                f"{self.path}: no published list in this release; mpclean build --version 2021.05 "
                "with its published split makes one"
            )
        return self._read(LISTED, None)

    def _read(self, name: str, columns: Sequence[str] | None) -> pa.Table:
        path = self.path / name
        try:
            return pq.read_table(path, columns=None if columns is None else list(columns), partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{path}: cannot be read ({str(error).splitlines()[0]:.150}); try: mpclean verify {self.path}"
            ) from error

    def verify(self) -> list[str]:
        """Compare every file with the manifest.

        Returns
        -------
        One line per file that is changed, missing or extra; none if the release is intact.
        """
        listed = self.manifest["files"]
        present = {
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
        problems = [f"missing: {name}" for name in sorted(set(listed) - present)]
        problems += [f"extra: {name}" for name in sorted(present - set(listed) - {MANIFEST})]
        for name in sorted(present & set(listed)):
            path = self.path / name
            if path.is_symlink():
                problems.append(f"changed: {name} (a link, not a file)")
            elif path.stat().st_size != listed[name]["bytes"] or file_sha256(path) != listed[name]["sha256"]:
                problems.append(f"changed: {name}")
        return problems


def open_release(path: str | Path) -> Release:
    """Open a release folder.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    UserError
        If it is no release, its manifest was changed, or its format is newer than this program.
    """
    folder = Path(path)
    return Release(folder, load_manifest(folder))
