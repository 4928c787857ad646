"""Parquet in the column layout of LeMat-Bulk, which is that of OPTIMADE structures.

LeMat-Bulk (huggingface.co/datasets/LeMaterial/LeMat-Bulk) collects calculations of the Materials
Project, Alexandria and OQMD. Read are the crystal (`lattice_vectors`
and `cartesian_site_positions`, A; `species_at_sites`, `species`, `dimension_types` and `nsites`),
`magnetic_moments` and `total_magnetization`, muB, `band_gap_indirect`, eV, and
`space_group_it_number` where the table has them. Its energies are total energies, so formation
energies are null; `dos_ef` is a density of states and no Fermi energy. The layout is that of others too, so
it says nothing of a licence: LeMat-Bulk itself is CC-BY-4.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mpclean.errors import UserError
from mpclean.sources.base import Source, batched_documents
from mpclean.sources.files import find_files
from mpclean.sources.records import open_records
from mpclean.vocabulary.functionals import DEFAULT_FUNCTIONAL, other_functional

#: Columns by which the layout is known.
COLUMNS = frozenset(("immutable_id", "lattice_vectors", "cartesian_site_positions", "species_at_sites"))


def is_lemat(path: Path) -> bool:
    """Whether a path is Parquet, or a folder of it, with the columns of the layout."""
    try:
        return COLUMNS.issubset(pq.read_schema(find_files(path, (".parquet",))[0]).names)
    except (UserError, OSError, pa.ArrowException):
        return False  # opening the snapshot says what is wrong


def open_lemat(path: Path, functional: str = DEFAULT_FUNCTIONAL) -> Source:
    """Open a table, or a folder of its parts, as a source.

    Parameters
    ----------
    path
        Parquet with at least `COLUMNS`.
    functional
        The functional to take, one of `mpclean.vocabulary.functionals.FUNCTIONALS`, by the column
        ``functional``; rows that state none are taken as they are.

    Raises
    ------
    UserError
        As `mpclean.sources.records.open_records` does.
    """
    records = open_records(path)
    return replace(
        records,
        identity=replace(records.identity, name="lemat"),
        batches=lambda: batched_documents(_documents(records, functional)),
        parameters={"functional": functional},
    )


def _documents(records: Source, functional: str) -> Iterator[tuple[str, bytes | None, str | None]]:
    for batch in records.batches():
        for location, document in zip(
            batch["location"].to_pylist(), batch["document"].to_pylist(), strict=True
        ):
            row: dict[str, Any] = json.loads(document)
            problem = other_functional(row.get("functional"), functional)
            yield location, document, problem
