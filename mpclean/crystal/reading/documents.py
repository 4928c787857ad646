"""Crystals of JSON documents: as pymatgen writes them, in the columns of OPTIMADE, or as CIF text."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import inverse, matmul
from mpclean.crystal.reading.bookkeeping import (
    DISAGREES,
    parse_formula,
    require_atoms,
    require_formula,
    require_length,
    require_volume,
)
from mpclean.crystal.reading.bounds import require_bounds
from mpclean.crystal.reading.facts import (
    ISOTOPES,
    MALFORMED,
    NO_STRUCTURE,
    NOT_PERIODIC,
    PARTIAL,
    Reading,
    atomic_number,
    element,
    isotope_notes,
    require_full,
    require_periodic,
)
from mpclean.errors import RecordError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS

#: Columns of a structure in OPTIMADE that a crystal is read from, and by which it is known.
OPTIMADE = frozenset(("lattice_vectors", "cartesian_site_positions", "species_at_sites"))

# What structures of OPTIMADE may be that is no list of whole atoms.
_FEATURES = {
    "disorder": (PARTIAL, "structure_features has 'disorder'; order the structure first"),
    "assemblies": (PARTIAL, "structure_features has 'assemblies'; order the structure first"),
    "implicit_atoms": (DISAGREES, "structure_features has 'implicit_atoms', which have no sites"),
    "site_attachments": (DISAGREES, "structure_features has 'site_attachments', which have no sites"),
}

# What Python raises where a document has something else than was expected.
_UNEXPECTED = (
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    np.linalg.LinAlgError,
)


def parse(document: bytes) -> Any:
    """Parse JSON; `NaN` and `Infinity`, which Python writes and the standard forbids, are read too.

    Raises
    ------
    RecordError
        If it is no JSON.
    """
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        try:
            parsed = json.loads(document)
            json.dumps(parsed, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            raise RecordError("document cannot be read", f"not JSON ({error})") from error
        return parsed


def read_structure(structure: Any) -> Reading:
    """Read a crystal from a document.

    Parameters
    ----------
    structure
        A structure as pymatgen writes it, a dict or the same as a JSON string; a dict with the columns of
        OPTIMADE; or CIF text. Sites of pymatgen stand at their fractional coordinates ``abc``, or at the
        Cartesian ``xyz``, A, where the first one has no others.

    Returns
    -------
    The crystal in the source's own cell; magnetic moments where every site has one.

    Raises
    ------
    RecordError
        If it is missing, malformed, disordered, not periodic, not finite, without atoms or volume, or if
        atoms coincide.
    """
    if structure is None or structure == "":
        raise RecordError(NO_STRUCTURE)
    if isinstance(structure, str):
        if not structure.lstrip().startswith("{"):
            from mpclean.crystal.reading.cif import read_cif

            return read_cif(structure)
        structure = parse(structure.encode())
    if not isinstance(structure, dict):
        raise RecordError(MALFORMED, f"a {type(structure).__name__} where a structure was expected")
    try:
        reading = _optimade(structure) if structure.keys() >= OPTIMADE else _pymatgen(structure)
    except RecordError:
        raise
    except KeyError as error:
        raise RecordError(MALFORMED, f"no entry {error.args[0]!r}") from error
    except _UNEXPECTED as error:
        raise RecordError(MALFORMED, f"{type(error).__name__}: {error}") from error
    return reading


def _pymatgen(structure: Mapping[str, Any]) -> Reading:
    if "lattice" not in structure and "sites" in structure:
        raise RecordError(NOT_PERIODIC, "a molecule: it has no lattice")
    lattice = structure["lattice"]
    matrix = np.array(lattice["matrix"], dtype=np.float64)
    if lattice.get("pbc") is not None:
        require_periodic(lattice["pbc"])
    sites = structure["sites"]
    notes: tuple[str, ...] = ()
    try:
        # Nearly all documents are of plain symbols, and this is where a build spends its time on them.
        numbers = [ATOMIC_NUMBERS[_species(site)] for site in sites]
    except KeyError:
        symbols = [element(_species(site)) for site in sites]
        numbers, notes = [atomic_number(symbol) for symbol in symbols], isotope_notes(symbols)
    moments = np.array([_moment(site.get("properties")) for site in sites], dtype=np.float64)
    crystal = _crystal(matrix, numbers, _frac_coords(sites, matrix), moments)
    if isinstance(volume := lattice.get("volume"), int | float) and math.isfinite(volume):
        require_volume(crystal, volume)
    for name, edge in zip("abc", matrix, strict=True):
        if isinstance(stated := lattice.get(name), int | float):
            require_length(name, float(np.linalg.norm(edge)), stated)
    return Reading(crystal, notes)


def _species(site: Mapping[str, Any]) -> str:
    """Return the label of the one species of a site."""
    species = site["species"]
    if len(species) == 1 and abs(species[0].get("occu", 1) - 1) <= 1e-6:
        return species[0]["element"]
    if not species:
        raise RecordError(PARTIAL, "a site without a species")
    if len(species) > 1:
        listed = ", ".join(f"{one['element']} {one.get('occu')}" for one in species)
        raise RecordError(PARTIAL, f"{listed}; order the structure first")
    return require_full({species[0]["element"]: species[0].get("occu", 1)})


def _frac_coords(sites: list[dict[str, Any]], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    if sites and "abc" not in sites[0]:
        return _fractional([site["xyz"] for site in sites], lattice)
    return np.array([site["abc"] for site in sites], dtype=np.float64)


def _fractional(positions: Any, lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fractional coordinates of Cartesian ones, A."""
    cartesian = np.array(positions, dtype=np.float64)
    return matmul(cartesian, inverse(lattice))


def _moment(properties: Any) -> float:
    """Return the magnetic moment of a site; not a number where it has none, or one along no axis."""
    moment = (properties or {}).get("magmom")
    try:
        return float(moment) if isinstance(moment, int | float) else math.nan
    except OverflowError:
        return math.nan


def _optimade(structure: Mapping[str, Any]) -> Reading:
    """Read the columns that LeMat-Bulk shares with OPTIMADE (specification 1.2, section 7.2)."""
    if (directions := structure.get("dimension_types")) is not None:
        require_periodic(directions)
    elif structure.get("nperiodic_dimensions") not in (None, 3):
        raise RecordError(NOT_PERIODIC, f"nperiodic_dimensions = {structure['nperiodic_dimensions']}")
    for feature in structure.get("structure_features") or ():
        raise RecordError(*_FEATURES.get(feature, (MALFORMED, f"structure_features has {feature!r}")))
    lattice = np.array(structure["lattice_vectors"], dtype=np.float64)
    fillings = {one["name"]: _filling(one) for one in _species_of(structure.get("species"))}
    labels = structure["species_at_sites"] or ()
    symbols = [element(require_full(fillings.get(label, {label: 1.0}), n)) for n, label in enumerate(labels)]
    positions = structure["cartesian_site_positions"] or ()
    if len(positions) != len(labels):
        raise RecordError(MALFORMED, f"{len(labels)} species at sites, {len(positions)} positions")
    frac_coords = _fractional(positions, lattice) if len(positions) else np.empty((0, 3))
    moments = structure.get("magnetic_moments")
    if moments and len(moments) != len(labels):
        raise RecordError(MALFORMED, f"{len(labels)} species at sites, {len(moments)} magnetic moments")
    try:
        known = np.array([math.nan] if moments is None else moments, dtype=np.float64)
    except (TypeError, ValueError):  # moments of some atoms, or along no axis
        known = np.array([math.nan])
    crystal = _crystal(lattice, [atomic_number(symbol) for symbol in symbols], frac_coords, known)
    if isinstance(stated := structure.get("nsites"), int):
        require_atoms(crystal, stated)
    if isinstance(said := structure.get("chemical_formula_reduced"), str) and said:
        require_formula(crystal, parse_formula(said), f"chemical_formula_reduced {said!r}")
    if isinstance(elements := structure.get("elements"), list) and elements:
        found = {"H" if symbol in ISOTOPES else symbol for symbol in symbols}
        if set(elements) != found:
            raise RecordError(
                DISAGREES,
                f"it says elements {' '.join(map(str, elements))}, its sites are {' '.join(sorted(found))}",
            )
    return Reading(crystal, isotope_notes(symbols))


def _species_of(given: Any) -> Sequence[Mapping[str, Any]]:
    """Return the species of a structure of OPTIMADE; the tables of LeMat have them as text."""
    if not isinstance(given, str):
        return given or ()
    try:
        return cast(
            "Sequence[Mapping[str, Any]]", ast.literal_eval(given) if "'" in given else json.loads(given)
        )
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise RecordError(MALFORMED, f"species is {given!r:.60}, which is no list of species") from error


def _filling(species: Mapping[str, Any]) -> dict[str, float]:
    """Return the shares of the elements of a species of OPTIMADE."""
    if species.get("attached"):
        said = ", ".join(map(str, species["attached"]))
        raise RecordError(DISAGREES, f"{said} attached to {species['name']}, without sites of their own")
    return dict(zip(species["chemical_symbols"], species["concentration"], strict=True))


def _crystal(
    lattice: NDArray[np.float64],
    numbers: list[int],
    frac_coords: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> Crystal:
    if lattice.shape != (3, 3) or frac_coords.shape != (len(numbers), 3):
        raise RecordError(
            MALFORMED if numbers else "no atoms",
            f"lattice of shape {lattice.shape}, coordinates of shape {frac_coords.shape}",
        )
    known = len(moments) == len(numbers) and moments.ndim == 1 and np.isfinite(moments).all()
    crystal = Crystal(lattice, np.array(numbers, dtype=np.uint8), frac_coords, moments if known else None)
    require_bounds(crystal)
    return crystal
