"""Open a release that was built or fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError, closest
from mpclean.release.configurations import Configuration, configurations
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import EXAMPLES, LEDGER, LISTED, MANIFEST, split_table
from mpclean.release.manifest import Manifest, load_manifest
from mpclean.release.proof import unproven_claims
from mpclean.release.verify import structural_problems
from mpclean.vocabulary.labels import Label, column_of, labels_of, own_names
from mpclean.vocabulary.schema import COLUMNS, EXAMPLE, PARTS, SINCE_FORMAT, Column

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from pymatgen.core import Structure

#: The columns that hold a crystal, for `Crystal.from_row`.
CRYSTAL = ("lattice", "atomic_numbers", "frac_coords", "magnetic_moments")


@dataclass(frozen=True)
class RowGroup:
    """A part of the rows of a release that is read at once; see `Release.groups`."""

    release: Release
    """The release."""
    path: str
    """The shard, from the folder of the release."""
    number: int
    """Of the row group in its file."""
    conditions: tuple[tuple[str, str, Any], ...]
    """What the rows must fulfil, as `pyarrow.parquet.filters_to_expression` takes it."""

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Its rows, with the columns wanted."""
        needed = {*columns, *(column for column, *_ in self.conditions)}
        absent = needed & set(SINCE_FORMAT) - set(self.release.manifest.columns)
        (rows,) = self.release.row_groups(self.path, needed - absent, self.number)
        for name in absent:  # the release is of an older format
            rows = rows.append_column(name, pa.nulls(rows.num_rows, COLUMNS[name].type))
        if self.conditions:
            rows = rows.filter(pq.filters_to_expression(list(self.conditions)))
        return rows.select(list(columns))


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

    def __repr__(self) -> str:
        """Say which release it is, in which version, and what is in it."""
        return (
            f"Release({self.manifest.name!r} {self.manifest.release_version}: "
            f"{sum(self.manifest.splits.values()):,} crystals, splits {', '.join(self.splits)})"
        )

    def _repr_html_(self) -> str:
        """Show parts and splits in a notebook."""
        manifest = self.manifest
        rows = [(self.splits[0], manifest.splits)]
        rows += [(name, split.splits) for name, split in sorted(manifest.more_splits.items())]
        head = "".join(f"<th>{part}</th>" for part in ("split", *PARTS))
        body = "".join(
            f"<tr><td>{escape(name)}</td>{''.join(f'<td>{parts[part]:,}</td>' for part in PARTS)}</tr>"
            for name, parts in rows
        )
        title = f"{escape(manifest.name)} {manifest.release_version}"
        return f"<p>Release {title}</p><table><tr>{head}</tr>{body}</table>"

    @property
    def content_hash(self) -> str:
        """Hash over the rows of data, the split that they are in, and the ledger, hexadecimal."""
        return str(self.manifest.content_hash)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The numbers that a model can be trained on: name, unit and meaning of each."""
        return labels_of(self.manifest.columns, self.manifest.labels)

    def column(self, name: str) -> Column:
        """Type, unit and meaning of a column, one of the release's own labels among them.

        Raises
        ------
        KeyError
            If the release has no such column.
        """
        return column_of(name, self.manifest.labels)

    @property
    def splits(self) -> list[str]:
        """Names of its splits: the one that it was built with first."""
        return [self.manifest.split.strategy, *sorted(self.manifest.more_splits)]

    def find(self, material_id: str) -> tuple[dict[str, Any], str] | None:
        """Find the row of a record as Python values, and its place; None where it was not kept.

        Raises
        ------
        UserError
            If a shard cannot be read.
        """
        for path in sorted(name for name in self.manifest.files if name.startswith("data/")):
            start = 0
            for number, ids in enumerate(self.row_groups(path, ["material_id"])):
                if (place := pc.index(ids["material_id"], material_id).as_py()) >= 0:
                    (group,) = self.row_groups(path, only=number)
                    (row,) = group.slice(place, 1).to_pylist()
                    return row, f"{path}, row {start + place}"
                start += ids.num_rows
        return None

    def table(
        self,
        part: str | None = None,
        columns: Sequence[str] | None = None,
        config: str | None = None,
        split: str | None = None,
    ) -> pa.Table:
        """Rows of the release: the columns of `mpclean.vocabulary.schema.RELEASE` and the source's labels.

        Columns that the format of an older release did not have yet are null where they are asked for.

        Parameters
        ----------
        part
            ``train``, ``validation`` or ``test``; all of them by default. A part without
            rows gives an empty table.
        columns
            Names of columns, in the order wanted; those of the configuration by default.
        config
            Name of a configuration, as in ``load_dataset``; ``default`` by default.
        part
            Name of the split that `part` belongs to, of those that ``mpclean split`` added; the
            one that the release was built with by default. Records that it leaves out are in
            none of its parts.

        Raises
        ------
        UserError
            If the part, the configuration, the split or a column is unknown, or a shard cannot
            be read.
        """
        tables = list(self.batches(part, columns, config, split))
        if not tables:  # a part without rows: the schema of any other shard
            return next(self.batches(None, columns, config)).slice(0, 0)
        return pa.concat_tables(tables)

    def batches(
        self,
        part: str | None = None,
        columns: Sequence[str] | None = None,
        config: str | None = None,
        split: str | None = None,
    ) -> Iterator[pa.Table]:
        """Read the rows of `table` from the shards a row group at a time."""
        known = self.manifest.columns
        wanted = list(columns or self.configuration(config).columns or known)
        for name in wanted:
            if name not in known and name not in SINCE_FORMAT:
                raise UserError(f"{self.path}: {closest('column', name, known)}")
        for group in self.groups(part, config, split):
            yield group.read(wanted)

    def groups(
        self, part: str | None = None, config: str | None = None, split: str | None = None
    ) -> Iterator[RowGroup]:
        """Return the parts that the rows of `table` are read in, in their order; each can be read by itself.

        Raises
        ------
        UserError
            If the part, the configuration or the split is unknown, or a shard cannot be read.
        """
        if part is not None and part not in PARTS:
            raise UserError(f"{self.path}: {closest('part', part, PARTS)}")
        chosen = self.configuration(config)
        conditions: list[tuple[str, str, Any]] = [*(chosen.filters or ())]
        if split is not None:  # any shard may hold its rows
            assigned = self.assigned(split)
            if part is not None:
                assigned = assigned.filter(pc.equal(assigned["split"], part))
            conditions.append(("material_id", "in", assigned["material_id"].combine_chunks()))
        for name in PARTS if part is None or split is not None else (part,):
            for path in sorted(self.manifest.files):
                if path.startswith(f"data/{name}-"):
                    for number in range(self._n_row_groups(path)):
                        yield RowGroup(self, path, number, tuple(conditions))

    def configuration(self, name: str | None) -> Configuration:
        """Return a configuration of the release by its name; ``default`` for none.

        Raises
        ------
        UserError
            If the release has no such configuration.
        """
        known = {
            entry.name: entry
            for entry in configurations(self.manifest.columns, own_names(self.manifest.labels))
        }
        name = name or "default"
        if name not in known:
            raise UserError(f"{self.path}: {closest('configuration', name, known)}")
        return known[name]

    def to_pandas(
        self,
        part: str | None = None,
        columns: Sequence[str] | None = None,
        config: str | None = None,
        split: str | None = None,
    ) -> pd.DataFrame:
        """Read the rows of `table` as a pandas data frame."""
        return self.table(part, columns, config, split).to_pandas()

    def crystals(
        self, part: str | None = None, config: str | None = None, split: str | None = None
    ) -> Iterator[tuple[Crystal, dict[str, Any]]]:
        """Crystals one by one, each with what is known of it: its id and labels, none of them null.

        Parameters
        ----------
        part
            ``train``, ``validation`` or ``test``; all of them by default.
        config
            Name of a configuration; ``default`` by default.
        split
            Name of the split that `part` belongs to, as for `table`.

        Raises
        ------
        UserError
            If the part, the configuration or the split is unknown, or a shard cannot be read.
        """
        chosen = self.configuration(config).columns or self.manifest.columns
        labels = [name for name in chosen if not pa.types.is_list(self.column(name).type)]
        for batch in self.batches(part, [*CRYSTAL, *labels], config, split):
            for row in batch.to_pylist():
                yield Crystal.from_row(row), {name: row[name] for name in labels if row[name] is not None}

    def structures(
        self, part: str | None = None, config: str | None = None, split: str | None = None
    ) -> Iterator[Structure]:
        """Return the `crystals` as pymatgen structures, ids and labels in their ``properties``."""
        for crystal, labels in self.crystals(part, config, split):
            structure = crystal.to_pymatgen()
            structure.properties = labels
            yield structure

    def ase(
        self, part: str | None = None, config: str | None = None, split: str | None = None
    ) -> Iterator[Atoms]:
        """Return the `crystals` as ASE objects, ids and labels in their ``info``; needs ASE."""
        if find_spec("ase") is None:
            raise UserError("Release.ase() needs ASE: pip install 'mpclean[ase]'")
        for crystal, labels in self.crystals(part, config, split):
            atoms = crystal.to_ase()
            atoms.info = labels
            yield atoms

    def assigned(self, split: str) -> pa.Table:
        """Which record is in which part of a split, with the columns of `mpclean.vocabulary.schema.SPLIT`.

        Parameters
        ----------
        split
            Name of a split of the release: of the one that it was built with, or of one that
            ``mpclean split`` added.

        Raises
        ------
        UserError
            If the release has no such split, or it cannot be read.
        """
        if split not in self.splits:
            hint = f"{split} is a part: --part {split}" if split in PARTS else "mpclean split adds others"
            raise UserError(f"{self.path}: {closest('split', split, self.splits)}; {hint}")
        return self._read(split_table(split))

    def ledger(self) -> pa.Table:
        """Every record that left, with the columns of `mpclean.vocabulary.schema.LEDGER`."""
        return self._read(LEDGER)

    def examples(self) -> pa.Table:
        """Read some of the excluded records, with crystals, as `mpclean.vocabulary.schema.EXAMPLE`."""
        if EXAMPLES not in self.manifest.files:  # built before there were any
            return EXAMPLE.empty_table()
        return self._read(EXAMPLES)

    def listed(self) -> pa.Table:
        """Read the published list that a replay was compared with, as `mpclean.vocabulary.schema.SPLIT`.

        Raises
        ------
        UserError
            If the release is no replay, or the list cannot be read.
        """
        if LISTED not in self.manifest.files:
            raise UserError(
                f"{self.path}: no published list in this release; mpclean build --version 2021.05 "
                "with its published split makes one"
            )
        return self._read(LISTED)

    def is_numeric(self, column: str) -> bool:
        """Whether a column of the release holds one number for every row."""
        schema = next(self.groups()).read([column]).schema
        kind = schema.field(column).type
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))

    def _n_row_groups(self, name: str) -> int:
        with self._opened(name) as file:
            return int(file.num_row_groups)

    def _read(self, name: str) -> pa.Table:
        return pa.concat_tables(self.row_groups(name))

    def row_groups(
        self, name: str, columns: Iterable[str] | None = None, only: int | None = None
    ) -> Iterator[pa.Table]:
        """Find the row groups of a table of the release, or some columns of them, or only one of them.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        with self._opened(name) as file:
            for group in range(file.num_row_groups) if only is None else (only,):
                yield file.read_row_group(group, columns=columns and list(columns))

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        path = self.path / name
        try:
            with pq.ParquetFile(path) as file:
                yield file
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{path}: cannot be read ({str(error).splitlines()[0]:.150}); try: mpclean verify {self.path}"
            ) from error

    def verify(self) -> list[str]:
        """Compare every file with the manifest, every table with the schema, every claim with the rows.

        Claims are the content hash, every count and statistic of the manifest, that no record is both kept
        and excluded, and that lengths of bonds and formulas are those of the crystals
        (`mpclean.release.proof`).

        Returns
        -------
        One line per file that is changed, missing or extra; where there is none, one line per table
        that is not as it should be; where there is none either, one line per claim that is not borne
        out. None if the release is intact.
        """
        return self.changed_files() or structural_problems(self) or list(unproven_claims(self))

    def changed_files(self) -> list[str]:
        """One line per file that is not as the manifest has it: changed, missing or extra."""
        listed = self.manifest.files
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
            elif path.stat().st_size != listed[name].bytes or file_sha256(path) != listed[name].sha256:
                problems.append(f"changed: {name}")
        return problems

    def require_intact(self) -> None:
        """Refuse to go on with a release whose files differ from its manifest.

        Raises
        ------
        UserError
            If it does.
        """
        if problems := self.changed_files():
            raise UserError(
                f"{self.path}: {len(problems)} files differ from the manifest ({problems[0]}); build or "
                "fetch the release again"
            )


def verify(path: str | Path) -> list[str]:
    """Compare a release with its manifest, its schema and its claims; the command ``mpclean verify``.

    Parameters
    ----------
    path
        Folder of the release.

    Returns
    -------
    One line per problem, as for `Release.verify`; none if the release is intact.

    Raises
    ------
    UserError
        If it is no release, its manifest was changed, or its format is newer than this program.

    Examples
    --------
    >>> mpclean.verify("releases/demo")  # doctest: +SKIP
    []
    """
    return open_release(path).verify()


def open_release(path: Release | str | Path) -> Release:
    """Open a release folder.

    Parameters
    ----------
    path
        The folder; a release that is open already is given back as it is.

    Raises
    ------
    UserError
        If it is no release, its manifest was changed, or its format is newer than this program.
    """
    if isinstance(path, Release):
        return path
    folder = Path(path)
    return Release(folder, load_manifest(folder))
