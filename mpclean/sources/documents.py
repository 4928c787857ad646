"""From a JSON document to a record: the one place that knows how sources spell things.

Reads summary documents of mp-api, legacy documents (nested as the database held them or
flat as the legacy API delivered them, dotted keys included), entries of pymatgen, rows of
LeMat-Bulk, and this project's own column names. A document that cannot be read becomes a
record with a reason; nothing is raised and nothing is lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mpclean.crystal.crystal import Crystal, formula
from mpclean.errors import UserError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS
from mpclean.vocabulary.ids import normalise_id
from mpclean.vocabulary.schema import COLUMNS, RECORD, SOURCE_LABELS

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
_ID_PATHS = ("material_id", "task_id", "immutable_id")
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

#: What stands for "no value" besides null; efermi of legacy documents is sometimes "None".
_NOTHING = ("", "None", "none", "null", "nan", "NaN")

#: Atoms nearer than this stand for one that was written twice, A; no bond is half as short as H-H, 0.74.
MIN_DISTANCE = 0.1

#: Shortest vector of a lattice, A; none is known below 1 A. A search for symmetry to 0.1 A does not end, and
#: takes all memory, where a long cell repeats after 0.2 A.
MIN_PERIOD = 0.5

#: Cells beyond this are not looked at; the largest of the Materials Project has some 450 atoms.
MAX_SITES = 2_000

_ISOTOPES = {"D": 1, "T": 1}


class RecordError(Exception):
    """A record that cannot be read: a reason in fixed words, and what was found."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_documents(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Read a batch of documents.

    Parameters
    ----------
    batch
        A batch of `mpclean.sources.base.DOCUMENTS`.

    Returns
    -------
    A batch of `RECORD`, row for row. Where ``reason`` is not null the record could not be
    read, and ``detail`` begins with the place where it stands.
    """
    rows = [_row(*values) for values in zip(*(column.to_pylist() for column in batch), strict=True)]
    return pa.RecordBatch.from_pylist(rows, schema=RECORD)


def _row(location: str, document: bytes | None, problem: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {}
    try:
        if document is None:
            raise RecordError("document cannot be read", problem or "")
        _fill(row, _parse(document), problem)
    except RecordError as error:
        detail = f"{location}: {error.detail}" if error.detail else location
        row |= {"reason": error.reason, "detail": detail}
    except RecursionError:  # the parser goes deeper than Python writes
        row |= {"reason": "document cannot be read", "detail": f"{location}: nested too deep"}
    return row


def _parse(document: bytes) -> dict[str, Any]:
    """Parse JSON; `NaN` and `Infinity`, which Python writes and the standard forbids, are read too."""
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        try:
            parsed = json.loads(document)
            json.dumps(parsed, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            raise RecordError("document cannot be read", f"not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise RecordError(
            "document cannot be read", f"a {type(parsed).__name__} where a document was expected"
        )
    return parsed


def _fill(row: dict[str, Any], document: dict[str, Any], problem: str | None) -> None:
    """Fill a row step by step, so that what is known stays known when a later step fails."""
    material_id = _find(document, _ID_PATHS)
    if not isinstance(material_id, str | int) or isinstance(material_id, bool) or material_id == "":
        raise RecordError("no id", f"none of the keys {', '.join(_ID_PATHS)} holds one")
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

    crystal = read_structure(document.get("structure"))
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
    """The first value that is there and not null, or None."""
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
    """A label as a finite number within its range; None where there is no value."""
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
    low, high = COLUMNS[name].valid or (-math.inf, math.inf)
    if math.isinf(number) or not low <= number <= high:
        raise RecordError("label out of range", f"{name} = {number:g} {COLUMNS[name].unit}".rstrip())
    return number


def _day(value: Any) -> str | None:
    """The day of a moment that is given in ISO 8601 or in milliseconds since 1970; None for all else."""
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


def read_structure(structure: Any) -> Crystal:
    """A crystal from a pymatgen dict, the same as a JSON string, or CIF text.

    Parameters
    ----------
    structure
        The value of a document's ``structure``. Sites stand at their fractional coordinates
        ``abc``, or at the Cartesian ``xyz``, A, where the first one has no others.

    Returns
    -------
    The crystal in the source's own cell; magnetic moments where every site has one.

    Raises
    ------
    RecordError
        If it is missing, malformed, disordered, not finite, without atoms or volume, or if atoms
        coincide.
    """
    if structure is None or structure == "":
        raise RecordError("no structure")
    if isinstance(structure, str):
        if not structure.lstrip().startswith("{"):
            return _check(_read_cif(structure))
        structure = _parse(structure.encode())
    try:
        lattice = np.array(structure["lattice"]["matrix"], dtype=np.float64)
        sites = structure["sites"]
        atomic_numbers = np.array([_atomic_number(site["species"]) for site in sites], dtype=np.uint8)
        frac_coords = _frac_coords(sites, lattice)
        moments = [_moment(site.get("properties")) for site in sites]
    except RecordError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise RecordError("structure is malformed", f"{type(error).__name__}: {error}") from error
    if lattice.shape != (3, 3) or frac_coords.shape != (len(atomic_numbers), 3):
        raise RecordError(
            "structure is malformed" if len(atomic_numbers) else "no atoms",
            f"lattice of shape {lattice.shape}, coordinates of shape {frac_coords.shape}",
        )
    known = np.array(moments, dtype=np.float64)
    return _check(Crystal(lattice, atomic_numbers, frac_coords, known if np.isfinite(known).all() else None))


def _frac_coords(sites: list[dict[str, Any]], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    if sites and "abc" not in sites[0]:
        positions = np.array([site["xyz"] for site in sites], dtype=np.float64)
        return np.linalg.solve(lattice.T, positions.T).T.astype(np.float64)
    return np.array([site["abc"] for site in sites], dtype=np.float64)


def _moment(properties: Any) -> float:
    """The magnetic moment of a site; not a number where it has none, or one along no axis."""
    moment = (properties or {}).get("magmom")
    try:
        return float(moment) if isinstance(moment, int | float) else math.nan
    except OverflowError:
        return math.nan


def _atomic_number(species: list[dict[str, Any]]) -> int:
    if len(species) != 1 or not abs(species[0].get("occu", 1) - 1) <= 1e-6:
        raise RecordError("partial occupancies", ", ".join(f"{s['element']}{s.get('occu')}" for s in species))
    symbol = species[0]["element"]
    number = ATOMIC_NUMBERS.get(symbol) or _ISOTOPES.get(symbol)
    if number is None:
        raise RecordError("unknown element", repr(symbol))
    return number


def _read_cif(text: str) -> Crystal:
    import warnings

    from pymatgen.io.cif import CifParser

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rounding of coordinates, which we do not want
            structures = CifParser.from_str(text, frac_tolerance=0).parse_structures(primitive=False)
    except Exception as error:  # the parser raises whatever a text makes it raise
        raise RecordError("structure is malformed", f"CIF: {error}") from error
    try:
        return Crystal.from_pymatgen(structures[0])
    except UserError as error:
        reason = "unknown element" if structures[0].is_ordered else "partial occupancies"
        raise RecordError(reason, str(error)) from error


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # of absurd cells, which are found out
def _check(crystal: Crystal) -> Crystal:
    if not len(crystal):
        raise RecordError("no atoms")
    if not (np.isfinite(crystal.lattice).all() and np.isfinite(crystal.frac_coords).all()):
        raise RecordError("coordinates are not finite")
    if len(crystal) > MAX_SITES:
        raise RecordError("too many atoms", f"{len(crystal)} atoms, at most {MAX_SITES} are looked at")
    edges = np.linalg.norm(crystal.lattice, axis=1)
    if crystal.volume <= 1e-6 * edges.prod() or crystal.volume < 0.1 * len(crystal):
        raise RecordError("cell has no volume", f"{crystal.volume:.3g} A^3 for {len(crystal)} atoms")
    if np.abs(crystal.frac_coords).max() > 1e6 or edges.max() > 1e4:
        raise RecordError("cell or coordinates out of range", f"cell edges {edges.round(1).tolist()} A")
    shortest = _shortest_vector(crystal.lattice)
    if shortest < MIN_PERIOD:
        raise RecordError("atoms coincide", f"every atom and an image of it are {shortest:.3g} A apart")
    heights = 1.0 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    inside = crystal.frac_coords % 1.0 % 1.0  # the first one rounds -1e-17 to 1
    near = cKDTree(inside, boxsize=1.0).query_pairs(
        MIN_DISTANCE / heights.min(), p=np.inf, output_type="ndarray"
    )
    apart = inside[near[:, 0]] - inside[near[:, 1]]
    distance = np.linalg.norm((apart - np.rint(apart)) @ crystal.lattice, axis=1)
    if distance.min(initial=np.inf) < MIN_DISTANCE:
        first, second = near[distance.argmin()]
        raise RecordError("atoms coincide", f"sites {first} and {second} are {distance.min():.3g} A apart")
    return crystal


def _shortest_vector(lattice: NDArray[np.float64]) -> float:
    """Length of about the shortest vector of a lattice, A: of three that no pair makes shorter.

    Its volume is above a millionth of that of a box with its edges, so this ends after a few rounds.
    """
    vectors = lattice.copy()
    for _ in range(100):
        before = vectors.copy()
        for i, j in permutations(range(3), 2):
            vectors[i] -= np.rint(vectors[i] @ vectors[j] / (vectors[j] @ vectors[j])) * vectors[j]
        if np.array_equal(vectors, before):
            break
    return float(np.linalg.norm(vectors, axis=1).min())
