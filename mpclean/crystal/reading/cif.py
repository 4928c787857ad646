"""Crystals of CIF files, by gemmi.

gemmi reads the text by its grammar and knows space groups; what the items mean for a crystal is here. An
atom that a few decimals put beside its special position is moved onto it: the images of one fully occupied
atom within `MIN_DISTANCE` of one another are one atom.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import gemmi
import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import cell_vectors, matmul
from mpclean.crystal.reading.bookkeeping import (
    DISAGREES,
    parse_formula,
    require_density,
    require_formula,
    require_volume,
)
from mpclean.crystal.reading.bounds import MAX_SITES, MIN_DISTANCE, require_bounds
from mpclean.crystal.reading.facts import (
    MALFORMED,
    NO_STRUCTURE,
    NOT_PERIODIC,
    PARTIAL,
    UNKNOWN_ELEMENT,
    Reading,
    atomic_number,
    element,
    isotope_notes,
    require_full,
)
from mpclean.crystal.reading.spacegroups import (
    UNKNOWN_GROUP,
    Operations,
    Stated,
    fitting,
    require_same_group,
    understood,
)
from mpclean.errors import RecordError

# What stands for "unknown" and "does not apply".
_NOTHING = ("?", ".", "")

_PLACE = re.compile(r"string:(\d+)(?::\d+(?:\(\d+\))?)?")
_BLOCK = re.compile(r"data_(\S*)", re.IGNORECASE)
_HOLDS_CRYSTAL = re.compile(r"^\s*_(cell[_.]length_a|atom_site[_.])", re.IGNORECASE | re.MULTILINE)

# Categories whose names end in a dot where a file follows a dictionary of the second generation.
_CATEGORIES = (
    "_space_group_symop_",
    "_symmetry_equiv_",
    "_space_group_",
    "_symmetry_",
    "_atom_site_",
    "_cell_",
    "_chemical_",
    "_exptl_crystal_",
)
_CELL = (
    *("_cell_length_a", "_cell_length_b", "_cell_length_c"),
    *("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma"),
)
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_NAMES = (
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_full",
    "_space_group_name_H-M_ref",
)
_MULTIPLICITIES = ("_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")


#: The reason of lengths and angles that no cell has, in the words of the ledger.
NO_CELL = "cell has no volume"

_T = TypeVar("_T")


@dataclass(frozen=True)
class CifBlock:
    """A block of a CIF file, unread.

    Attributes
    ----------
    name
        What follows ``data_``.
    text
        The block as a file of its own.
    """

    name: str
    text: str

    @property
    def holds_crystal(self) -> bool:
        """Whether it has a cell or sites; blocks of journals and powder patterns have neither."""
        return _HOLDS_CRYSTAL.search(self.text) is not None


def cif_blocks(text: str) -> list[CifBlock]:
    """Take a CIF file apart, so that one damaged block leaves the others readable.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    Its blocks in their order; none where nothing begins with ``data_``.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    starts: list[tuple[str, int]] = []
    place, in_text = 0, False
    for line in text.splitlines(keepends=True):
        if line.startswith(";"):  # fields of text begin and end so, and may hold anything between
            in_text = not in_text
        elif not in_text and (match := _BLOCK.match(line.lstrip("\ufeff \t"))):
            starts.append((match[1], place))
        place += len(line)
    ends = [start for _, start in starts[1:]] + [None]
    return [
        CifBlock(name, text[start:end].lstrip("\ufeff"))
        for (name, start), end in zip(starts, ends, strict=False)
    ]


def read_cif(text: str) -> Reading:
    """Read CIF text that holds one crystal.

    Raises
    ------
    RecordError
        If it holds none or several, or as `read_block` does.
    """
    blocks = cif_blocks(text)
    crystals = [block for block in blocks if block.holds_crystal]
    if len(crystals) > 1:
        names = ", ".join(block.name for block in crystals[:5])
        raise RecordError("several structures", f"{len(crystals)} blocks with a crystal: {names}")
    if not crystals:
        raise RecordError(NO_STRUCTURE if blocks else MALFORMED, "no CIF block with a cell and sites")
    return read_block(crystals[0].text)


def read_block(text: str) -> Reading:
    """Read the crystal of a CIF block.

    Parameters
    ----------
    text
        A file of one block.

    Returns
    -------
    The crystal in the cell of the file, all images of each site in turn.

    Raises
    ------
    RecordError
        If it is no CIF, lacks a cell, sites or a space group, is disordered or modulated, or disagrees
        with what it says of itself.
    """
    block = _parsed_block(text)
    if not CifBlock(block.name, text).holds_crystal:
        raise RecordError(NO_STRUCTURE, f"block {block.name} has no cell and no sites")
    lattice = _lattice(block)
    sites = _sites(block)
    settings = fitting(_space_group(block), lattice)
    readings, errors = [], []
    for setting in settings:
        try:
            readings.append((setting, _assemble(block, lattice, sites, setting)))
        except RecordError as error:
            errors.append(error)
    if not readings:
        raise errors[0]
    if len(readings) > 1:
        names = " or ".join(setting.name for setting, _ in readings)
        raise RecordError(
            "space group in doubt", f"{names}: list the operations, or state the formula and Z, to tell"
        )
    return readings[0][1]


def _parsed_block(text: str) -> gemmi.cif.Block:
    try:
        return gemmi.cif.read_string(text).sole_block()
    except (ValueError, RuntimeError) as error:
        # gemmi gives a place in the text as string:3:0(26); people have lines.
        said = _PLACE.sub(r"line \1 of the block", " ".join(str(error).split()))
        raise RecordError(MALFORMED, f"no valid CIF: {said:.300}") from error


@dataclass(frozen=True)
class _Sites:
    """The sites of a block.

    Attributes
    ----------
    symbols
        Elements, D and T among them.
    labels
        For messages.
    multiplicities
        Number of images in the cell that the file states; None where it does not.
    frac_coords
        (m, 3).
    """

    symbols: tuple[str, ...]
    labels: tuple[str, ...]
    multiplicities: tuple[float | None, ...]
    frac_coords: NDArray[np.float64]


def _assemble(
    block: gemmi.cif.Block, lattice: NDArray[np.float64], sites: _Sites, group: Operations
) -> Reading:
    """Make the crystal of the sites under a group, and hold it against what the block says of it."""
    if len(sites.symbols) * len(group) > 200 * MAX_SITES:
        raise RecordError("too many atoms", f"{len(sites.symbols)} sites, at most {MAX_SITES} are looked at")
    images = [
        _images(coords, group, lattice, label)
        for coords, label in zip(sites.frac_coords, sites.labels, strict=True)
    ]
    for label, some, stated in zip(sites.labels, images, sites.multiplicities, strict=True):
        if stated is not None and stated != len(some):
            raise RecordError(
                DISAGREES,
                f"it says multiplicity {stated:g} of site {label}, {group.name} makes {len(some)} of it",
            )
    symbols = [symbol for symbol, some in zip(sites.symbols, images, strict=True) for _ in some]
    numbers = np.array([atomic_number(symbol) for symbol in symbols], dtype=np.uint8)
    crystal = Crystal(lattice, numbers, np.concatenate(images) % 1.0)
    require_bounds(crystal)
    units = _number(block, "_cell_formula_units_Z") or None  # pymatgen writes 0 where there is deuterium
    if (said := _text(block, "_chemical_formula_sum")) is not None:
        require_formula(crystal, parse_formula(said), f"_chemical_formula_sum {said!r}", units)
    elif units is not None and any(count % units for count in np.unique_counts(numbers).counts):
        raise RecordError(DISAGREES, f"it says Z = {units:g}, which does not divide its atoms")
    if (volume := _number(block, "_cell_volume")) is not None:
        require_volume(crystal, volume)
    if (density := _number(block, "_exptl_crystal_density_diffrn")) is not None:
        require_density(crystal, sum(gemmi.Element(symbol).weight for symbol in symbols), density)
    return Reading(crystal, isotope_notes(symbols))


def _images(
    coords: NDArray[np.float64], group: Operations, lattice: NDArray[np.float64], label: str
) -> NDArray[np.float64]:
    """Return the different images of a site, (k, 3), its own place first."""
    if len(group) == 1:
        return coords[None]
    shifts = group.translations / gemmi.Op.DEN
    images = matmul(group.rotations, coords[:, None])[..., 0] + shifts
    away = images - coords
    away -= np.rint(away)
    stay = np.linalg.norm(matmul(away, lattice), axis=1) < MIN_DISTANCE
    order = int(stay.sum())
    if order > 1:
        # The mean over the operations that keep a site is its special position.
        coords = coords + away[stay].mean(axis=0)
        images = matmul(group.rotations, coords[:, None])[..., 0] + shifts
        apart = images[:, None] - images[None]
        apart -= np.rint(apart)
        same = np.linalg.norm(matmul(apart, lattice), axis=2) < MIN_DISTANCE
        images = images[same.argmax(axis=1) == np.arange(len(images))]  # the first of each place
    if len(images) * order != len(group):
        raise RecordError(
            "atoms coincide", f"site {label} lies beside a special position, within {MIN_DISTANCE} A of it"
        )
    return images


def _lattice(block: gemmi.cif.Block) -> NDArray[np.float64]:
    stated = {tag: _number(block, tag) for tag in _CELL}
    values = [value for value in stated.values() if value is not None]
    if len(values) < len(_CELL):
        missing = ", ".join(tag for tag, value in stated.items() if value is None)
        raise RecordError(MALFORMED, f"no {missing}")
    lengths, angles = values[:3], values[3:]
    said = f"lengths {', '.join(f'{x:g}' for x in lengths)} A, angles {', '.join(f'{x:g}' for x in angles)}"
    if min(*values) <= 0.0 or max(angles) >= 180.0:
        raise RecordError(NO_CELL, f"{said}; a length is above 0, and an angle between 0 and 180 degrees")
    if sum(angles) >= 360.0 or 2.0 * max(angles) >= sum(angles):
        raise RecordError(NO_CELL, f"{said}; no three vectors have such angles")
    return cell_vectors(lengths, angles)


def _space_group(block: gemmi.cif.Block) -> tuple[Operations, ...]:
    if re.search(r"^\s*_space_group[_.](symop_)?magn", block.as_string(), re.IGNORECASE | re.MULTILINE):
        raise RecordError(UNKNOWN_GROUP, "a magnetic space group; write the crystal's")
    if (_number(block, "_cell_modulation_dimension") or 0) > 0 or re.search(
        r"^\s*_space_group[_.]ssg_", block.as_string(), re.IGNORECASE | re.MULTILINE
    ):
        raise RecordError(NOT_PERIODIC, "a modulated structure")
    number = _one(block, _NUMBERS, _number)
    if number is not None and (number != int(number) or number < 1):
        raise RecordError(UNKNOWN_GROUP, f"number {number:g}")
    names = [name for tag in _NAMES if (name := _text(block, tag)) is not None]
    for other in names[1:]:
        require_same_group(names[0], other)
    return understood(
        Stated(
            name=names[0] if names else None,
            hall=_one(block, _HALL, _text),
            number=None if number is None else int(number),
            operations=tuple(_first(_column(block, tag) or None for tag in _OPERATIONS) or ()),
        )
    )


def _one(
    block: gemmi.cif.Block, tags: Iterable[str], read: Callable[[gemmi.cif.Block, str], _T | None]
) -> _T | None:
    """Return the value that an item has under its old and its new name, which agree."""
    values = {tag: value for tag in tags if (value := read(block, tag)) is not None}
    if len(set(values.values())) > 1:
        said = " and ".join(f"{tag} {value}" for tag, value in values.items())
        raise RecordError(DISAGREES, f"it says {said}")
    return next(iter(values.values()), None)


def _first(values: Iterable[_T | None]) -> _T | None:
    """Return the first value that is there."""
    return next((value for value in values if value is not None), None)


def _sites(block: gemmi.cif.Block) -> _Sites:
    places = [_column(block, f"_atom_site_fract_{axis}") for axis in "xyz"]
    if not all(places):
        cartesian = "; Cartesian ones are not read" if _column(block, "_atom_site_Cartn_x") else ""
        raise RecordError("no atoms", f"no sites with fractional coordinates{cartesian}")
    types = _column(block, "_atom_site_type_symbol")
    labels = _column(block, "_atom_site_label") or types
    if not labels:
        raise RecordError(UNKNOWN_ELEMENT, "sites without label and type symbol")
    occupancies = _column(block, "_atom_site_occupancy")
    counts = _first(_column(block, tag) or None for tag in _MULTIPLICITIES) or []
    symbols, coords = [], []
    for label, kind, share, *place in zip_longest(labels, types, occupancies, *places):
        symbol = element(_spelled(kind) if kind not in (None, *_NOTHING) else label)
        require_full(
            {symbol: 1.0 if share in (None, *_NOTHING) else _parsed(share, f"occupancy of {label}")}, label
        )
        symbols.append(symbol)
        coords.append([_parsed(text, f"coordinate of site {label}") for text in place])
    if len(set(_column(block, "_atom_site_disorder_group")) - {*_NOTHING, "0"}) > 1:
        raise RecordError(PARTIAL, "several groups of disorder")
    if any(_known(text) for text in _column(block, "_atom_site_attached_hydrogens")):
        raise RecordError(DISAGREES, "hydrogens attached to sites, without sites of their own")
    if "dum" in _column(block, "_atom_site_calc_flag"):
        raise RecordError(UNKNOWN_ELEMENT, "dummy sites")
    multiplicities = tuple(
        None if count in (None, *_NOTHING) else _parsed(count, f"multiplicity of {label}")
        for label, count in zip_longest(labels, counts)
    )
    return _Sites(tuple(symbols), tuple(labels), multiplicities, np.array(coords, dtype=np.float64))


def _spelled(kind: str) -> str:
    """Write a type symbol in capitals, CL or NA+, as an element; a label in capitals may mean two atoms."""
    return kind[:2].capitalize() + kind[2:] if re.fullmatch(r"[A-Z]{2}[0-9+\-]*", kind) else kind


def _spellings(tag: str) -> tuple[str, ...]:
    prefix = next((prefix for prefix in _CATEGORIES if tag.startswith(prefix)), None)
    return (tag,) if prefix is None else (tag, f"{prefix[:-1]}.{tag[len(prefix) :]}")


def _column(block: gemmi.cif.Block, tag: str) -> list[str]:
    """Return the values of an item, in a loop or alone; none where it is not there."""
    for name in _spellings(tag):
        if values := [
            gemmi.cif.as_string(value) if value not in _NOTHING else value
            for value in block.find_values(name)
        ]:
            return values
    return []


def _text(block: gemmi.cif.Block, tag: str) -> str | None:
    values = [value.strip() for value in _column(block, tag)]
    return values[0] if values and values[0] not in _NOTHING else None


def _number(block: gemmi.cif.Block, tag: str) -> float | None:
    text = _text(block, tag)
    return None if text is None else _parsed(text, tag)


def _parsed(text: str | None, what: str) -> float:
    """Return a number, without its standard uncertainty."""
    number = gemmi.cif.as_number(text) if text is not None else math.nan
    if not math.isfinite(number):
        raise RecordError(MALFORMED, f"{what} is {text!r}, which is no number")
    return number


def _known(text: str) -> float:
    return 0.0 if text in _NOTHING else _parsed(text, "number of attached hydrogens")
