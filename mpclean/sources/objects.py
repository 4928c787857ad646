"""Crystals in memory as a source: a list of structures, or a data frame with a column of them.

What an object states beside its atoms (``properties`` of pymatgen, ``info`` of ASE), or a row in its other
columns, are fields of its document, as those of a file would be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_object
from mpclean.errors import RecordError, UserError
from mpclean.sources.base import UNKNOWN, Identity, Source, batched_documents
from mpclean.sources.label_tables import ID_COLUMNS
from mpclean.vocabulary.elements import SYMBOLS

if TYPE_CHECKING:
    import pandas as pd

#: Columns of a data frame that hold its crystals, the first that it has.
STRUCTURE_COLUMNS = ("structure", "atoms", "crystal", "cif")

_Document = tuple[str, bytes | None, str | None]


def open_objects(given: Iterable[Any] | pd.DataFrame) -> Source:
    """Open crystals in memory as a source.

    Parameters
    ----------
    given
        Structures of pymatgen, Atoms of ASE and `Crystal`, known by the ``material_id`` that they state, else
        by their place, ``crystal-0``. Or a data frame with one of the `STRUCTURE_COLUMNS`, which may also
        hold dicts of pymatgen or CIF text; ids are a column of `ID_COLUMNS`, else its index.

    Raises
    ------
    UserError
        If it is neither, or empty.
    """
    from_frame = hasattr(given, "columns") and hasattr(given, "iterrows")
    if from_frame:
        rows = _of_frame(cast("pd.DataFrame", given))
    elif isinstance(given, Iterable) and not isinstance(given, Mapping):
        rows = list(_of_objects(given))
    else:
        raise UserError(
            f"source: a {type(given).__name__}; give a path, a list of structures or a data frame"
        )
    if not rows:
        raise UserError("source: no crystal in it")
    documents = [_document(n, row, from_frame) for n, row in enumerate(rows)]
    digest = hashlib.sha256()
    for _, document, problem in documents:
        digest.update((document or b"") + (problem or "").encode() + b"\n")
    return Source(
        identity=Identity("objects", None, digest.hexdigest(), UNKNOWN, UNKNOWN),
        batches=lambda: batched_documents(iter(documents)),
        n_documents=len(documents),
    )


def _of_frame(frame: pd.DataFrame) -> list[dict[str, Any]]:
    column = next((name for name in STRUCTURE_COLUMNS if name in frame.columns), None)
    if column is None:
        raise UserError(f"source: the data frame has no column of crystals, {' or '.join(STRUCTURE_COLUMNS)}")
    ids = next((name for name in ID_COLUMNS if name in frame.columns), None)
    names = frame.index.tolist() if ids is None else frame[ids].tolist()
    return [
        {**cast("dict[str, Any]", row), "material_id": str(name), "structure": row[column]}
        for name, row in zip(names, frame.to_dict("records"), strict=True)
    ]


def _of_objects(given: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(given):
        # Not `or`: an empty dict is what an object states that states nothing.
        stated = getattr(one, "info", None) if hasattr(one, "info") else getattr(one, "properties", None)
        yield {"material_id": f"crystal-{number}", **(stated or {}), "structure": one}


def _document(number: int, row: Mapping[str, Any], from_frame: bool) -> _Document:
    """Write a row as a document; one whose crystal cannot be read says why."""
    place = f"crystal {number}"
    fields = {str(name): _plain(value) for name, value in row.items() if _is_plain(value)}
    structure = row["structure"]
    if isinstance(structure, str | dict) and from_frame:
        return place, json.dumps({**fields, "structure": structure}, default=str).encode(), None
    try:
        crystal = read_object(structure).crystal
    except RecordError as error:
        return f"{place}: {error.detail}", json.dumps(fields).encode(), error.reason
    return place, json.dumps({**fields, "structure": _structure(crystal)}).encode(), None


def _is_plain(value: Any) -> bool:
    return isinstance(_plain(value), str | int | float | bool)


def _plain(value: Any) -> Any:
    """Turn a number of numpy into one of Python."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _structure(crystal: Crystal) -> dict[str, Any]:
    moments = crystal.magnetic_moments
    known = [None] * len(crystal) if moments is None else moments.tolist()
    return {
        "lattice": {"matrix": crystal.lattice.tolist()},
        "sites": [
            {"species": [{"element": SYMBOLS[z]}], "abc": abc, "properties": {"magmom": moment}}
            for z, abc, moment in zip(
                crystal.atomic_numbers, crystal.frac_coords.tolist(), known, strict=True
            )
        ],
    }
