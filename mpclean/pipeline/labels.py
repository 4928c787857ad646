"""Labels of a person's own on their way through a build: from documents, and from a table beside them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.errors import UserError
from mpclean.sources.label_tables import LabelTable
from mpclean.vocabulary.labels import Label

#: Ids and names that a message gives as examples.
_EXAMPLES = 8


@dataclass(frozen=True)
class OwnLabels:
    """The labels that a release gets beside those of the schema.

    Attributes
    ----------
    stated
        Fields of the documents.
    table
        A table that is joined by id; None without one.
    asked
        Names of those of `stated` that a person asked for; the header of a source names others.
    """

    stated: tuple[Label, ...] = ()
    table: LabelTable | None = None
    asked: frozenset[str] = frozenset()

    @property
    def labels(self) -> tuple[Label, ...]:
        """All of them, those of documents first."""
        return (*self.stated, *(self.table.labels if self.table else ()))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of their columns."""
        return tuple(label.name for label in self.labels)

    @property
    def fields(self) -> list[pa.Field]:
        """Their columns, with unit and meaning."""
        return [label.field for label in self.labels]

    def facts(self) -> tuple[object, ...]:
        """Return what the work on records depends on."""
        return (self.stated, self.table and self.table.sha256)

    def fill_known(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Fill columns of the schema from the table, where it has a value; the source's own stay elsewhere.

        Parameters
        ----------
        batch
            As the first pass makes it, with ``material_id``.
        """
        for name in self.table.known if self.table else ():
            values = pc.coalesce(self.table.of(batch["material_id"], name), batch[name])  # type: ignore[union-attr]
            batch = _replaced(batch, name, values)
            if name == "band_gap":
                batch = _replaced(batch, "is_insulator", pc.greater(values, 0.0))
        return batch

    def columns(self, rows: pa.Table, names: Sequence[str]) -> dict[str, pa.ChunkedArray | pa.Array]:
        """Return labels as columns.

        Parameters
        ----------
        rows
            With ``material_id`` and ``own_labels``.
        names
            Those wanted, of `names`.
        """
        if not names:
            return {}
        stated = {label.name for label in self.stated}
        ids = rows["material_id"]
        return {
            name: _values(rows["own_labels"], name) if name in stated else self.table.of(ids, name)  # type: ignore[union-attr]
            for name in names
        }


#: Of a build that keeps the columns of the schema only.
NO_LABELS = OwnLabels()


def _replaced(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    place = batch.schema.get_field_index(name)
    return batch.set_column(place, batch.schema.field(place), values)


def _values(maps: pa.ChunkedArray, name: str) -> pa.Array:
    """Return the value of a key in each map, null where it is not in it."""
    return pc.map_lookup(maps.combine_chunks(), pa.scalar(name), "first")


@dataclass(frozen=True)
class LabelNotes:
    """What became of labels, for people.

    Attributes
    ----------
    unknown
        How many records state a number under each name that the schema does not know and nobody asked for.
    unlabelled
        Records that could be read and are not in the table of labels.
    unmatched
        Ids of the table of labels that no record has.
    """

    unknown: dict[str, int] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Say it in sentences; none where there is nothing to say."""
        lines = []
        if self.unmatched:
            lines.append(
                f"{_count(self.unmatched, 'id of the labels is', 'ids of the labels are')} of no record: "
                f"{_some(self.unmatched)}"
            )
        if self.unlabelled:
            lines.append(
                f"{_count(self.unlabelled, 'record has', 'records have')} no line in the labels: "
                f"{_some(self.unlabelled)}"
            )
        if self.unknown:
            most = sorted(self.unknown, key=lambda name: (-self.unknown[name], name))
            lines.append(
                f"not kept: {_count(most, 'numeric field', 'numeric fields')} of the source, {_some(most)}; "
                f"keep one with --label NAME:UNIT, as in --label {most[0]}:UNIT"
            )
        return lines


def _count(of: Sequence[str], one: str, several: str) -> str:
    return f"{len(of):,} {one if len(of) == 1 else several}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _EXAMPLES:,} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more


def _nowhere(name: str, others: Sequence[str]) -> str:
    """Say that no record has a label, and which ones there are."""
    near = difflib.get_close_matches(name, others, n=1)
    meant = f"; {near[0]} is meant, perhaps" if near else ""
    there = f"numeric fields there are {_some(sorted(others))}" if others else "there is no numeric field"
    return f"--label {name}: no record that can be read states a number under this name{meant}; {there}"


def label_notes(labels: OwnLabels, records: Iterable[pa.RecordBatch]) -> LabelNotes:
    """Find out what became of labels.

    Parameters
    ----------
    labels
        Those of the build.
    records
        Batches of the first pass: ``material_id``, ``unknown_fields`` and ``own_labels``.

    Raises
    ------
    UserError
        If no record states a label that was asked for, or a table of labels was given and no record has an
        id of it.
    """
    unknown: Counter[str] = Counter()
    stated: set[str] = set()
    ids: list[pa.Array] = []
    for batch in records:
        for entry in batch["unknown_fields"].flatten().value_counts().to_pylist():
            unknown[entry["values"]] += entry["counts"]
        if labels.asked:
            stated.update(pc.unique(batch["own_labels"].keys).to_pylist())
        ids.append(batch["material_id"])
    if missing := sorted(labels.asked - stated):
        of_table = labels.table.values.column_names[1:] if labels.table else []
        raise UserError(_nowhere(missing[0], [*of_table, *unknown]))
    if labels.table is None:
        return LabelNotes(dict(unknown))
    read = pa.chunked_array(ids, pa.string()).drop_null()
    listed = labels.table.values["material_id"]
    unmatched = listed.filter(pc.invert(pc.is_in(listed, value_set=read.combine_chunks())))
    unlabelled = read.filter(pc.invert(pc.is_in(read, value_set=listed.combine_chunks())))
    if len(unmatched) == len(listed):
        raise UserError(
            f"{labels.table.origin}: none of its {len(listed):,} ids is that of a record; ids of labels are "
            f"like {listed[0]}, ids of records like {read[0] if len(read) else 'none'}"
        )
    return LabelNotes(dict(unknown), tuple(unlabelled.to_pylist()), tuple(unmatched.to_pylist()))
