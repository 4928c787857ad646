"""From what a file says of its space group to symmetry operations.

A file may list its operations, or name the group: by a Hermann-Mauguin symbol, old or new, with or without a
setting; by a Hall symbol; by its number in the International Tables. gemmi knows the 564 settings that
these mean. All that a file states must agree, with one another and with the lattice; a name that several
settings answer to keeps all that fit, for the sites to decide. Nothing is ever taken for P 1 because it was
not understood.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import gemmi
import numpy as np
import spglib
from numpy.typing import NDArray

from mpclean.crystal.linear import matmul
from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.errors import RecordError

#: Reasons, in the words of the ledger.
UNKNOWN_GROUP = "space group not understood"
NO_GROUP = "no space group"

#: Largest change of an element of the metric, over the lengths of its two edges, that an operation may make:
#: half a per cent of a length, or half a degree.
METRIC_TOLERANCE = 0.01

# ICSD writes the setting as a letter after the symbol: origin at the highest site symmetry or at the centre,
# hexagonal or rhombohedral axes.
_ICSD = {"S": "1", "Z": "2", "H": "H", "R": "R"}
_SETTING = re.compile(r"(?P<name>.*?)\s*(?::\s*(?P<ext>[12HR])|\s(?P<icsd>[SZHR]))$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Operations:
    """The operations of a space group in one setting, those of centring included.

    Attributes
    ----------
    name
        Symbol with the setting, or what stands for it where the setting has none.
    number
        In the International Tables; None where it is not known.
    rotations
        (n, 3, 3) int64, of fractional coordinates.
    translations
        (n, 3) int64, in units of 1/24 of a cell vector.
    """

    name: str
    number: int | None
    rotations: NDArray[np.int64]
    translations: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rotations)

    @cached_property
    def key(self) -> frozenset[bytes]:
        """The operations as a set, equal for equal groups in equal settings."""
        whole = np.concatenate([self.rotations.reshape(-1, 9), self.translations % gemmi.Op.DEN], axis=1)
        return frozenset(row.tobytes() for row in whole)

    def keeps(self, metric: NDArray[np.float64]) -> bool:
        """Whether every operation keeps a metric, (3, 3) in A^2, within `METRIC_TOLERANCE`."""
        edges = np.sqrt(np.diag(metric))
        turned = matmul(matmul(self.rotations.transpose(0, 2, 1), metric), self.rotations)
        return bool((np.abs(turned - metric) <= METRIC_TOLERANCE * np.outer(edges, edges)).all())


@dataclass(frozen=True)
class Stated:
    """What a file says of its space group; None, or nothing, for what it does not say."""

    name: str | None = None
    hall: str | None = None
    number: int | None = None
    operations: tuple[str, ...] = ()


@lru_cache(maxsize=1024)  # the files of one data set say the same few things
def understood(stated: Stated) -> tuple[Operations, ...]:
    """Find the settings that all that a file says agrees with, at least one.

    Raises
    ------
    RecordError
        If it says nothing, something that is not understood, or things that disagree.
    """
    settings: tuple[Operations, ...]
    if stated.operations:
        settings = (_listed(stated.operations),)
    elif stated.hall:
        settings = (_of_hall(stated.hall),)
    elif stated.name:
        settings = _of_name(stated.name)
        if stated.number and stated.number in {setting.number for setting in settings}:
            settings = tuple(setting for setting in settings if setting.number == stated.number)
    elif stated.number:
        settings = _of_number(stated.number)
    else:
        raise RecordError(
            NO_GROUP, "neither a name or number nor operations; write 'P 1' where all atoms are listed"
        )
    (first, *_) = settings
    source = f"its operations are {_what(first)}" if stated.operations else f"its name is {_what(first)}"
    if stated.number and first.number != stated.number:
        raise RecordError(DISAGREES, f"it says space group number {stated.number}, {source}")
    if stated.hall and stated.operations and _of_hall(stated.hall).key != first.key:
        raise RecordError(DISAGREES, f"it says Hall symbol {stated.hall!r}, {source}")
    if stated.name and (stated.operations or stated.hall):
        _require_name(stated.name, first, source)
    return settings


def require_same_group(name: str, other: str) -> None:
    """Refuse two names that share no setting; an extended symbol, which is not understood, says nothing.

    Raises
    ------
    RecordError
        If there is none.
    """
    try:
        keys = [{setting.key for setting in _of_name(one)} for one in (name, other)]
    except RecordError:
        return
    if not keys[0] & keys[1]:
        raise RecordError(DISAGREES, f"it says space group {name!r} and space group {other!r}")


def _require_name(name: str, group: Operations, source: str) -> None:
    """Refuse a name that means another group or setting than the operations do."""
    named = _of_name(name)
    if any(setting.key == group.key for setting in named):
        return
    # A shift of the origin leaves no setting of the table, so there only the number can tell.
    in_table = group.key in _by_operations()
    if in_table or group.number not in {setting.number for setting in named}:
        raise RecordError(DISAGREES, f"it says space group {name!r}, {source}")


def fitting(settings: tuple[Operations, ...], lattice: NDArray[np.float64]) -> tuple[Operations, ...]:
    """Keep the settings whose operations a lattice has, at least one.

    Parameters
    ----------
    settings
        As `understood` returns them.
    lattice
        (3, 3), A; rows are the cell vectors.

    Raises
    ------
    RecordError
        If there is none.
    """
    metric = matmul(lattice, lattice.T)
    found = tuple(setting for setting in settings if setting.keeps(metric))
    if not any(":" in setting.name for setting in found):
        found = found[:1]  # a short monoclinic name in a box: the unique axis is b by convention
    if not found:
        edges = np.sqrt(np.diag(metric))
        cosines = np.clip(metric[[1, 0, 0], [2, 2, 1]] / edges[[1, 0, 0]] / edges[[2, 2, 1]], -1, 1)
        angles = np.degrees(np.arccos(cosines))
        raise RecordError(
            DISAGREES,
            f"it says space group {' or '.join(setting.name for setting in settings)}, which a cell of "
            f"{', '.join(f'{x:.5g}' for x in edges)} A and {', '.join(f'{x:.5g}' for x in angles)} "
            "degrees cannot have",
        )
    return found


def _what(group: Operations) -> str:
    return group.name if group.number is None else f"{group.name} (number {group.number})"


def _listed(texts: tuple[str, ...]) -> Operations:
    """Read operations as ``-x, y+1/2, z``."""
    try:
        operations = [gemmi.Op(text) for text in texts]
    except (RuntimeError, ValueError) as error:
        raise RecordError(UNKNOWN_GROUP, f"symmetry operations: {error}") from error
    return _recognised(operations, f"{len(operations)} listed operations")


def _of_hall(symbol: str) -> Operations:
    try:
        operations = list(gemmi.symops_from_hall(symbol.replace("_", " ")))
    except (RuntimeError, ValueError) as error:
        raise RecordError(UNKNOWN_GROUP, f"Hall symbol {symbol!r}: {error}") from error
    return _recognised(operations, f"Hall symbol {symbol}")


def _recognised(operations: list[gemmi.Op], name: str) -> Operations:
    """Name operations by their setting, or by their number where the table has no such setting."""
    group = _operations(name, None, operations)
    if (known := _by_operations().get(group.key)) is not None:
        return known
    _require_group(group)
    found = spglib.get_spacegroup_type_from_symmetry(group.rotations, group.translations / gemmi.Op.DEN)
    if found is None:
        raise RecordError(UNKNOWN_GROUP, f"{name}: spglib finds no space group")
    return Operations(
        f"{name} of {found.international_short}", found.number, group.rotations, group.translations
    )


def _require_group(group: Operations) -> None:
    """Refuse operations of which two make one that is not among them, or that are not there."""
    if len(group) > 192 or len(group.key) != len(group):
        raise RecordError(UNKNOWN_GROUP, f"{group.name}: an operation is listed twice, or more than 192 are")
    products = np.einsum("aij,bjk->abik", group.rotations, group.rotations).reshape(-1, 3, 3)
    moved = np.einsum("aij,bj->abi", group.rotations, group.translations) + group.translations[:, None]
    if not _operations_of(products, moved.reshape(-1, 3)).key <= group.key:
        raise RecordError(
            UNKNOWN_GROUP, f"{group.name} are no group: two of them make one that is not listed"
        )


def _of_name(name: str) -> tuple[Operations, ...]:
    """Find the settings that a Hermann-Mauguin symbol may mean."""
    match = _SETTING.fullmatch(name.strip())
    ext = (match["ext"] or _ICSD[match["icsd"].upper()]).upper() if match else ""
    key = _plain(match["name"] if match else name)
    found = tuple(
        _setting(index) for index, of_setting in _by_name().get(key, ()) if not ext or of_setting == ext
    )
    if not found and not ext and (other := gemmi.find_spacegroup_by_name(name)) is not None:
        found = (_operations(other.xhm(), other.number, list(other.operations())),)
    if not found:
        raise RecordError(
            UNKNOWN_GROUP, f"{name!r} is no Hermann-Mauguin symbol of a known setting; list the operations"
        )
    return found


def _of_number(number: int) -> tuple[Operations, ...]:
    """Find the standard setting of a number, with either origin or axes where there are two."""
    symbols = {group.hm for group in _table() if group.number == number and group.is_reference_setting()}
    if not symbols:
        raise RecordError(UNKNOWN_GROUP, f"number {number}: there are 230 space groups")
    return tuple(
        _setting(index)
        for index, group in enumerate(_table())
        if group.number == number and group.hm in symbols
    )


def _plain(name: str) -> str:
    """Write a symbol as its letters and digits alone."""
    return re.sub(r"[\s_{}()~]", "", name).casefold()


@cache
def _table() -> tuple[gemmi.SpaceGroup, ...]:
    return tuple(gemmi.spacegroup_table())


@cache
def _by_name() -> dict[str, tuple[tuple[int, str], ...]]:
    """List the places of settings in the table, each with its extension, by all names that they have."""
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for index, group in enumerate(_table()):
        parts = group.hm.split()
        names = {group.hm}
        if (
            group.crystal_system_str() == "monoclinic"
        ):  # short or full, of any unique axis: P 21/n, P 1 21/n 1
            names.add("".join(part for part in parts if part != "1"))
        if (
            "-3" in parts[2:3]
        ):  # before 1935 a cubic -3 was written 3, P m 3 m: no other group has such a name
            names.add(" ".join([*parts[:2], "3", *parts[3:]]))
        for name in names:
            found[_plain(name)][index] = group.ext if group.ext.strip("\0 ") else ""
    return {name: tuple(settings.items()) for name, settings in found.items()}


@cache
def _setting(index: int) -> Operations:
    group = _table()[index]
    return _operations(group.xhm(), group.number, list(group.operations()))


@cache
def _by_operations() -> dict[frozenset[bytes], Operations]:
    found: dict[frozenset[bytes], Operations] = {}
    for index in range(len(_table())):
        found.setdefault(_setting(index).key, _setting(index))
    return found


def _operations(name: str, number: int | None, operations: list[gemmi.Op]) -> Operations:
    rotations = np.array([operation.rot for operation in operations], dtype=np.int64) // gemmi.Op.DEN
    translations = np.array([operation.tran for operation in operations], dtype=np.int64)
    return Operations(name, number, rotations, translations % gemmi.Op.DEN)


def _operations_of(rotations: NDArray[np.int64], translations: NDArray[np.int64]) -> Operations:
    return Operations("", None, rotations, translations)
