"""The configurations that ``datasets.load_dataset`` offers, all on one set of shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.vocabulary.schema import PARTS, SOURCE_LABELS, TARGETS

#: For each configuration and split the rows it has, and their size in memory in bytes.
Counts = dict[str, dict[str, dict[str, int]]]

_LABELS = (*TARGETS, *SOURCE_LABELS)


@dataclass(frozen=True)
class Configuration:
    """A choice of rows and columns.

    Attributes
    ----------
    name
        As in ``load_dataset(path, name)``.
    columns
        Names of columns; None for all.
    filters
        Conjunction of ``(column, operator, value)`` as pyarrow and datasets take it; None
        for all rows.
    """

    name: str
    columns: tuple[str, ...] | None = None
    filters: tuple[tuple[str, str, Any], ...] | None = None

    def card_entry(self) -> dict[str, Any]:
        """Return the options as the YAML head of a dataset card spells them."""
        entry: dict[str, Any] = {}
        if self.columns is not None:
            entry["columns"] = list(self.columns)
        if self.filters is not None:
            entry["filters"] = [list(condition) for condition in self.filters]
        return entry


def configurations(columns: list[str], own: Sequence[str] = ()) -> list[Configuration]:
    """``default`` has everything, ``insulators`` the rows with a band gap above zero, and one
    configuration per target the rows where it is known and, of the targets, only its column.

    Parameters
    ----------
    columns
        Columns of the release.
    own
        Names of its own labels.
    """  # noqa: D205
    shared = [name for name in columns if name not in (*_LABELS, *own)]
    targets = [name for name in columns if name in (*_LABELS, *own)]
    return [
        Configuration("default"),
        Configuration("insulators", filters=(("is_insulator", "==", True),)),
        # A comparison with null is null, which a filter leaves out; every number passes.
        *(Configuration(name, (*shared, name), filters=((name, ">=", float("-inf")),)) for name in targets),
    ]


def count(counts: Counts, split: str, rows: pa.Table, own: Sequence[str] = ()) -> None:
    """Add the rows of a split to the counts of every configuration."""
    for configuration in configurations(rows.schema.names, own):
        found = rows
        for name, _, _ in configuration.filters or ():
            mask = rows[name].is_valid() if name != "is_insulator" else rows[name]
            found = rows.filter(pc.fill_null(mask, False))
        if configuration.columns is not None:
            found = found.select(configuration.columns)
        entry = counts.setdefault(
            configuration.name, {name: {"num_examples": 0, "num_bytes": 0} for name in PARTS}
        )
        entry[split]["num_examples"] += found.num_rows
        entry[split]["num_bytes"] += found.nbytes
