"""The passes over the crystals of a source, and what a build reads back from their files.

Only keys are held in memory. Everything else of a record lies in the file of its batch, and a
batch that has its file is not worked on again (`mpclean.pipeline.resume`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from mpclean.pipeline.executor import Rescue, run
from mpclean.pipeline.labels import NO_LABELS, LabelNotes, OwnLabels, label_notes
from mpclean.pipeline.resume import BatchFiles
from mpclean.pipeline.steps import (
    Bonds,
    BondTask,
    MatchTask,
    PrepareTask,
    bond,
    lost_crystal,
    lost_group,
    lost_record,
    match,
    prepare,
)
from mpclean.rules.duplicate import tied
from mpclean.sources import Source
from mpclean.vocabulary.schema import MATCHED, MATCHES, schema

#: Groups of records that are compared in structure in one task: mostly pairs, a dozen a second, and minutes
#: for each at worst.
_GROUPS = 32

#: Batches in a piece of the keys.
_IN_A_PIECE = 256


class Passes:
    """The passes of one build.

    Parameters
    ----------
    folder
        Where the finished batches of all of them lie.
    source
        Where records come from.
    bonds
        How bonds are found.
    limit
        Read this many records only; None for all.
    workers
        As `mpclean.pipeline.executor.run` takes it.
    labels
        Labels of a person's own.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        bonds: Bonds,
        limit: int | None,
        workers: int | str,
        labels: OwnLabels = NO_LABELS,
    ) -> None:
        self._labels = labels
        self._prepared = BatchFiles(folder / "prepared")
        self._matched = BatchFiles(folder / "matched")
        self._bonded = BatchFiles(folder / "bonded")
        self._source = source
        self._bonds = bonds
        self._limit = limit
        self._workers = workers

    def prepare(self, require: Callable[[str], None] | None) -> None:
        """First pass: every record in its primitive cell, or with the reason why it has none.

        Parameters
        ----------
        require
            Called with every version that records state; raises where it is the wrong one.
        """
        if self._prepared.whole:
            return
        total = self._source.n_documents
        if self._limit is not None:
            total = self._limit if total is None else min(total, self._limit)
        stated_labels = tuple(label.name for label in self._labels.stated)
        numbers: deque[int] = deque()
        with tqdm(total=total, desc="reading", unit=" records", disable=None) as bar:

            def tasks() -> Iterator[PrepareTask]:
                position = 0
                for number, batch in enumerate(self._source.batches()):
                    if self._limit is not None:
                        batch = batch.slice(0, self._limit - position)
                    if number in self._prepared:
                        bar.update(batch.num_rows)
                    else:
                        numbers.append(number)
                        yield PrepareTask(batch, position, stated_labels)
                    position += batch.num_rows
                    if self._limit is not None and position >= self._limit:
                        return

            rescue = Rescue(PrepareTask.parts, lost_record, _join)
            for batch in run(prepare, tasks(), self._workers, rescue):
                if require is not None:
                    for stated in pc.unique(batch["database_version"].drop_null()).to_pylist():
                        require(stated)
                self._prepared.write(numbers.popleft(), self._labels.fill_known(batch))
                bar.update(batch.num_rows)
        self._prepared.end()

    def keys(self, columns: Iterable[str]) -> pa.Table:
        """Read what rules need to know of every record: columns of `PREPARED`, in the order of the source."""
        return _table(self._prepared, schema(*columns))

    def synthetic(self) -> bool:
        """Whether a record says that it is made up."""
        return any(
            self._prepared.read(number, ["synthetic"])["synthetic"].true_count for number in self._prepared
        )

    def stated(self) -> tuple[list[str], dict[str, Any]]:
        """Read what records state themselves.

        Returns
        -------
        versions
            The database versions, sorted.
        spacegroups
            How many state a space group, and the ids of those that state another than was found.
        """
        versions: set[str] = set()
        n_stated = 0
        differ: list[str] = []
        for number in self._prepared:
            ids, stated, computed, version = self._prepared.read(
                number, ["material_id", "spacegroup_source", "spacegroup_computed", "database_version"]
            )
            versions |= set(pc.unique(version.drop_null()).to_pylist())
            n_stated += len(stated) - stated.null_count
            other = pc.fill_null(pc.not_equal(stated, computed), False)
            differ += ids.filter(other).drop_null().to_pylist()
        return sorted(versions), {"stated": n_stated, "differ": sorted(differ)}

    def label_notes(self) -> LabelNotes:
        """Say what became of the labels that records state and those of the table beside them."""
        records = (
            self._prepared.read(number, ["material_id", "unknown_fields", "own_labels"])
            for number in self._prepared
        )
        return label_notes(self._labels, records)

    def readable(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Columns of the records that could be read, as the first pass found them, batch by batch."""
        for number in self._prepared:
            batch = self._prepared.read(number, [*columns, "reason"])
            yield batch.filter(batch["reason"].is_null()).select(columns)

    def distinct_by_source_formula(self, keys: pa.Table) -> int:
        """How many records the rule ``duplicate`` would leave with the formula of the source's own cell.

        Parameters
        ----------
        keys
            Table with ``position`` and ``spacegroup_number``, in the order of the source.
        """
        hashes = np.empty(len(keys), dtype=np.int64)  # of formulas, which would take three times as much
        begin = 0
        for number, rows in _by_batch(self._prepared, keys["position"].to_numpy()):
            formulas = self._prepared.read(number, ["formula"])["formula"].take(pa.array(rows))
            hashes[begin : (begin := begin + len(rows))] = [hash(formula) for formula in formulas.to_pylist()]
        groups = keys["spacegroup_number"].to_numpy()
        order = np.lexsort((hashes, groups))
        return int(np.sum((np.diff(hashes[order]) != 0) | (np.diff(groups[order]) != 0))) + min(len(keys), 1)

    def match(self, keys: pa.Table) -> pa.Table:
        """Second pass: structures of records that share formula and space group with others.

        Parameters
        ----------
        keys
            Table with the columns of `mpclean.rules.duplicate.Duplicate` that `PREPARED` has, in the order
            of the source.

        Returns
        -------
        The keys with the columns of `MATCHES`; a record that shares its key with none is a class of
        its own.
        """
        all_positions = keys["position"].to_numpy()
        rows, counts = tied(keys)
        positions, counts = _from_the_start(all_positions[rows], counts)
        ends = np.cumsum(counts)
        batches = list(self._prepared)
        begins = np.array(
            [self._prepared.read(n, ["position"], np.array([0]))[0][0].as_py() for n in batches]
        )
        numbers: deque[int] = deque()
        with tqdm(total=len(rows), desc="matching", unit=" records", disable=None) as bar:

            def tasks() -> Iterator[MatchTask]:
                for number, first in enumerate(range(0, len(counts), _GROUPS)):
                    sizes = counts[first : first + _GROUPS]
                    end = ends[first + len(sizes) - 1]
                    if number in self._matched:
                        bar.update(sizes.sum())
                    else:
                        numbers.append(number)
                        of_these = positions[end - sizes.sum() : end]
                        yield MatchTask(self._prepared_at(of_these, batches, begins), sizes)

            rescue = Rescue(MatchTask.groups, lost_group, _join)
            for batch in run(match, tasks(), self._workers, rescue):
                self._matched.write(numbers.popleft(), batch)
                bar.update(batch.num_rows)
        found = _table(self._matched, MATCHES)
        place = np.searchsorted(all_positions, found["position"].to_numpy())
        structure_class = all_positions.copy()
        structure_class[place] = found["structure_class"].to_numpy()
        verdict, unknown = np.zeros(len(keys), dtype=bool), np.ones(len(keys), dtype=bool)
        verdict[place] = pc.fill_null(found["structures_match"], False).to_numpy()
        unknown[place] = found["structures_match"].is_null().to_numpy()
        keys = keys.append_column("structure_class", pa.array(structure_class))
        return keys.append_column("structures_match", pa.array(verdict, mask=unknown))

    def _prepared_at(
        self, positions: NDArray[np.int64], batches: list[int], begins: NDArray[np.int64]
    ) -> pa.RecordBatch:
        """Read `MATCHED` of the records at any positions, in their order; batches begin at others, sorted."""
        order = np.argsort(positions)
        held = np.searchsorted(begins, positions[order], side="right") - 1
        parts = [
            self._prepared.read(batches[k], MATCHED.names, positions[order][held == k] - begins[k])
            for k in np.unique(held)
        ]
        return _join(parts).take(pa.array(np.argsort(order)))

    def bond(self, keys: pa.Table, columns: Iterable[str]) -> pa.Table:
        """Third pass: bonds of the records that are still kept.

        Parameters
        ----------
        keys
            Table of keys with ``position``, in the order of the source.
        columns
            Columns of `BONDED` that rules need to know.

        Returns
        -------
        The keys with these columns; ``reason`` and ``detail`` are those of the bonds now.
        """
        wanted = dict.fromkeys(["position", "reason", "detail", *columns])
        numbers: deque[int] = deque()
        with tqdm(total=keys.num_rows, desc="bonding", unit=" crystals", disable=None) as bar:

            def tasks() -> Iterator[BondTask]:
                for number, rows in _by_batch(self._prepared, keys["position"].to_numpy()):
                    if number in self._bonded:
                        bar.update(len(rows))
                    else:
                        numbers.append(number)
                        yield BondTask(self._prepared.read(number).take(pa.array(rows)), self._bonds)

            rescue = Rescue(BondTask.parts, lost_crystal, _join)
            for batch in run(bond, tasks(), self._workers, rescue):
                self._bonded.write(numbers.popleft(), batch)
                bar.update(batch.num_rows)
        bonds = _table(self._bonded, schema(*wanted))
        assert bonds["position"].equals(keys["position"]), "the bonds are not those of the records"
        keys = keys.select([name for name in keys.column_names if name == "position" or name not in wanted])
        for name in bonds.column_names[1:]:
            keys = keys.append_column(name, bonds[name])
        return keys

    def bonded(self, positions: pa.ChunkedArray, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Rows of the second pass at sorted positions, batch by batch, or some columns of them."""
        for number, rows in _by_batch(self._bonded, positions.to_numpy()):
            own = [name for name in self._labels.names if columns is None or name in columns]
            read = columns and [name for name in columns if name not in own]
            if read is not None and own:
                read = [*dict.fromkeys([*read, "material_id", "own_labels"])]
            batch = self._bonded.read(number, read)
            table = pa.Table.from_batches([batch.take(pa.array(rows))])
            for name, values in self._labels.columns(table, own).items():
                table = table.append_column(name, values)
            yield table

    @property
    def bytes_bonded(self) -> int:
        """Size of what the second pass wrote, before compression."""
        return self._bonded.size


def _from_the_start(
    positions: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return groups of positions in the order in which they begin in the source: few files are read for each.

    Parameters
    ----------
    positions
        (M,) group by group.
    counts
        (G,) positions of each group.
    """
    begins = np.cumsum(counts) - counts
    if not len(counts):
        return positions, counts
    order = np.argsort(np.minimum.reduceat(positions, begins))
    counts = counts[order]
    within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return positions[np.repeat(begins[order], counts) + within], counts


def _join(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(batches)


def _table(files: BatchFiles, columns: pa.Schema) -> pa.Table:
    """Return some columns of all batches, in pieces large enough to cost little beside what is in them."""
    pieces, batches = [], []
    for number in files:
        batches.append(files.read(number, columns.names))
        if len(batches) == _IN_A_PIECE:
            pieces.append(pa.concat_batches(batches))
            batches = []
    return pa.Table.from_batches([*pieces, *batches], schema=columns)


def _by_batch(files: BatchFiles, positions: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Find the numbers of the batches that hold some of these sorted positions, and their rows there."""
    for number in files:
        held = files.read(number, ["position"])["position"].to_numpy()
        low, high = np.searchsorted(positions, [held[0], held[-1] + 1])
        if high > low:
            yield number, np.searchsorted(held, positions[low:high])
