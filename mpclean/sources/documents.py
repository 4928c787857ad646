"""From a JSON document to a record: the one place that knows how sources spell things.

Reads summary documents of mp-api, legacy documents (nested as the database held them or
flat as the legacy API delivered them, dotted keys included), entries of pymatgen, rows of
OPTIMADE and LeMat-Bulk, and this project's own column names. A document that cannot be read becomes a
record with a reason; nothing is raised and nothing is lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from mpclean.crystal.formula import formula
from mpclean.crystal.reading import parse, read_structure
from mpclean.crystal.reading.bookkeeping import require_atoms, require_composition, require_volume
from mpclean.crystal.reading.documents import OPTIMADE
from mpclean.errors import RecordError
from mpclean.vocabulary.ids import ID_KEYS, normalise_id
from mpclean.vocabulary.schema import COLUMNS, RECORD, SOURCE_LABELS, Column

#: Where a label may stand in a document, the first that is there counts. A dot steps into a
#: nested document or is part of a flat key.
_LABEL_PATHS: dict[str, tuple[str, ...]] = {
    "formation_energy_per_atom": ("formation_energy_per_atom", "e_form_per_atom"),
    "efermi": ("efermi",),
    "band_gap": ("band_gap.search_gap.band_gap", "band_gap", "band_gap_indirect"),
    "e_above_hull": ("e_above_hull", "energy_above_hull"),
    "total_magnetization": ("magnetism.total_magnetization", "total_magnetization"),
    "magnetization_per_atom": ("magnetization_per_atom",),
    **{name: (name,) for name in SOURCE_LABELS},
}
_SPACEGROUP_PATHS = ("symmetry.number", "spacegroup.number", "spacegroup_number", "space_group_it_number")
#: Where the Materials Project states the licence of a record; others state theirs elsewhere.
_MP_LICENCE_PATHS = ("builder_meta.license",)
_LICENCE_PATHS = (*_MP_LICENCE_PATHS, "licence", "license")
#: When a record was first calculated, else when it was last changed; Mongo's JSON has a ``$date``.
_DATE_PATHS = ("created_at.$date", "created_at", "last_updated.$date", "last_updated")
_VERSION_PATHS = ("builder_meta.database_version", "database_version")

#: How the Materials Project writes CC BY, and its SPDX name.
CC_BY = "BY-C"
_SPDX = {CC_BY: "CC-BY-4.0"}

#: Fields that are read here, or that are no labels but what a document states of its crystal or itself.
_KNOWN = frozenset(
    (
        *(path.partition(".")[0] for paths in _LABEL_PATHS.values() for path in paths),
        *(path for paths in _LABEL_PATHS.values() for path in paths),
        *(*ID_KEYS, *_LICENCE_PATHS, *_DATE_PATHS, *_VERSION_PATHS, *_SPACEGROUP_PATHS),
        *(
            *COLUMNS,
            "deprecated",
            "nperiodic_dimensions",
            "nelements",
            "nsites",
            "entry_id",
            "energy",
            "correction",
        ),
    )
)

#: A text longer than this is no number.
_LONGEST_NUMBER = 32

#: What stands for "no value" besides null; efermi of legacy documents is sometimes "None".
_NOTHING = ("", "None", "none", "null", "nan", "NaN")


def read_documents(batch: pa.RecordBatch, labels: Sequence[str] = ()) -> pa.RecordBatch:
    """Read a batch of documents.

    Parameters
    ----------
    batch
        A batch of `mpclean.sources.base.DOCUMENTS`.
    labels
        Names of the fields that a person asked to keep beside those of the schema.

    Returns
    -------
    A batch of `RECORD`, row for row. Where ``reason`` is not null the record could not be
    read, and ``detail`` begins with the place where it stands.
    """
    rows = [
        _row(*values, own=labels) for values in zip(*(column.to_pylist() for column in batch), strict=True)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=RECORD)


def _row(location: str, document: bytes | None, problem: str | None, *, own: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    try:
        if document is None:
            raise RecordError("document cannot be read", problem or "")
        parsed = _unwrapped(_with_id_as_written(_parse(document), document))
        row["synthetic"] = parsed.get("synthetic") is True or None
        _fill(row, parsed, problem)
        _fill_own(row, parsed, own)
    except RecordError as error:
        row |= {"reason": error.reason, "detail": ": ".join(filter(None, (location, error.detail)))}
    except RecursionError:  # the parser goes deeper than Python writes
        row |= {"reason": "document cannot be read", "detail": f"{location}: nested too deep"}
    return row


def _parse(document: bytes) -> dict[str, Any]:
    parsed = parse(document)
    if not isinstance(parsed, dict):
        raise RecordError(
            "document cannot be read", f"a {type(parsed).__name__} where a document was expected"
        )
    return parsed


def _unwrapped(document: dict[str, Any]) -> dict[str, Any]:
    """Take a structure out of a resource of OPTIMADE, which has its id beside the attributes."""
    attributes = document.get("attributes")
    if not isinstance(attributes, dict) or not attributes.keys() >= OPTIMADE:
        return document
    return {"immutable_id": document.get("id"), **{k: v for k, v in attributes.items() if v is not None}}


def _with_id_as_written(document: dict[str, Any], text: bytes) -> dict[str, Any]:
    """Replace an id that is a number with decimals or an exponent by its text: 7E10 is not 70000000000.0."""
    if not any(isinstance(document.get(name), float) for name in ID_KEYS):
        return document
    written = json.loads(text, parse_float=str)
    return document | {name: written[name] for name in ID_KEYS if isinstance(document.get(name), float)}


def _fill_own(row: dict[str, Any], document: dict[str, Any], own: Sequence[str]) -> None:
    """Fill in the labels that a person asked for, and the names of the numbers that nobody did."""
    values = {name: _own_number(name, document.get(name)) for name in own}
    row["own_labels"] = [(name, value) for name, value in values.items() if value is not None] or None
    row["unknown_fields"] = [
        name
        for name, value in document.items()
        if name not in _KNOWN and name not in values and _is_number(value)
    ] or None


def _own_number(name: str, value: Any) -> float | None:
    return float(value) if isinstance(value, bool) else _number(name, value)


def _is_number(value: Any) -> bool:
    """Whether a value is a number or true or false, or the text of one."""
    if isinstance(value, str):
        try:
            return len(value) <= _LONGEST_NUMBER and math.isfinite(float(value))
        except ValueError:
            return False
    return isinstance(value, bool | int | float) and math.isfinite(value)


def _fill(row: dict[str, Any], document: dict[str, Any], problem: str | None) -> None:
    """Fill a row step by step, so that what is known stays known when a later step fails."""
    material_id = _find(document, ID_KEYS)
    if not isinstance(material_id, str | int) or isinstance(material_id, bool) or material_id == "":
        raise RecordError("no id", f"none of the keys {', '.join(ID_KEYS)} holds one")
    row["material_id"] = normalise_id(str(material_id))
    version = _find(document, _VERSION_PATHS)
    row["database_version"] = None if version is None else str(version)
    if problem is not None:
        raise RecordError(problem)
    if document.get("deprecated") is True:
        raise RecordError("deprecated")
    mp_licence = _find(document, _MP_LICENCE_PATHS)
    if mp_licence not in (None, CC_BY):
        raise RecordError("licence other than CC BY", str(mp_licence))
    licence = _find(document, _LICENCE_PATHS)
    row["licence"] = None if licence is None else _SPDX.get(str(licence), str(licence))

    structure = _find(document, ("structure", "cif"))
    # Rows of OPTIMADE are their own structures.
    reading = read_structure(document if structure is None and document.keys() >= OPTIMADE else structure)
    crystal = reading.crystal
    said = document.get("note")
    row["note"] = "; ".join([*((said,) if isinstance(said, str) else ()), *reading.notes]) or None
    if document.get("@class") == "ComputedStructureEntry" and isinstance(document.get("composition"), dict):
        # The energy of an entry is that of its composition, which may have been normalised without it.
        require_composition(crystal, document["composition"])
    for key, require in (("nsites", require_atoms), ("volume", require_volume)):
        if isinstance(stated := document.get(key), int | float) and not isinstance(stated, bool):
            require(crystal, stated)
    row["formula"] = formula(crystal.atomic_numbers)
    row["lattice"] = crystal.lattice.ravel()
    row["atomic_numbers"] = crystal.atomic_numbers
    row["frac_coords"] = crystal.frac_coords.ravel()
    row["magnetic_moments"] = crystal.magnetic_moments

    spacegroup = _number("spacegroup_number", _find(document, _SPACEGROUP_PATHS))
    if spacegroup is not None and spacegroup not in range(1, 231):
        raise RecordError("space group out of range", f"spacegroup_number = {spacegroup:g}")
    row["spacegroup_source"] = None if spacegroup is None else int(spacegroup)

    labels = {name: _number(name, _find(document, paths)) for name, paths in _LABEL_PATHS.items()}
    total, moment = labels.pop("total_magnetization"), labels["magnetization_per_atom"]
    moment = moment if total is None else total / len(crystal)
    labels["magnetization_per_atom"] = None if moment is None else abs(moment)
    row |= labels
    row["is_insulator"] = None if labels["band_gap"] is None else labels["band_gap"] > 0.0
    row["is_hubbard"] = _flag("is_hubbard", document.get("is_hubbard"))
    for name in ("run_type", "correction_scheme"):
        row[name] = None if document.get(name) is None else str(document[name])
    row["date"] = _day(_find(document, _DATE_PATHS))


def _find(document: dict[str, Any], paths: Iterable[str]) -> Any:
    """Find the first value that is there and not null, or None."""
    for path in paths:
        value: Any = document
        rest = path
        while rest and isinstance(value, dict):
            if rest in value:
                value, rest = value[rest], ""
            else:
                key, _, rest = rest.partition(".")
                value = value.get(key) if rest else None
        if value is not None and not rest:
            return value
    return None


def _number(name: str, value: Any) -> float | None:
    """Read a label as a finite number within its range; None where there is no value."""
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError) as error:
        raise RecordError("label is not a number", f"{name} = {value!r:.60}") from error
    if math.isnan(number):
        return None
    column = COLUMNS.get(name) or Column(name, pa.float64(), "", "")  # one's own has no range
    low, high = column.valid or (-math.inf, math.inf)
    if math.isinf(number) or not low <= number <= high:
        raise RecordError("label out of range", f"{name} = {number:g} {column.unit}".rstrip())
    return number


def _day(value: Any) -> str | None:
    """Read the day of a moment given in ISO 8601 or in milliseconds since 1970; None for all else."""
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value / 1000, tz=UTC).date().isoformat()
        return date.fromisoformat(value[:10]).isoformat() if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _flag(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise RecordError("label is not true or false", f"{name} = {value!r:.60}")
