"""How alike two crystals can be: the levels at which a split leaks, or is kept from leaking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.crystal.similarity.matching import structure_classes
from mpclean.crystal.similarity.prototypes import prototypes
from mpclean.pipeline.cores import usable_cores
from mpclean.release.reader import CRYSTAL, Release


@dataclass(frozen=True)
class Level:
    """One level: crystals with equal keys are alike.

    Attributes
    ----------
    name
        Name in audits and of the strategy that keeps it apart.
    title
        What alike crystals share.
    columns
        Columns of a release that the key is found from.
    key
        From N rows with these columns and a number of worker processes to (N,) strings; null
        where a crystal is like no other.
    implies
        Levels whose alike crystals are alike at this one too: what keeps this level apart
        keeps those.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    key: Callable[[pa.Table, int], pa.ChunkedArray]
    implies: tuple[str, ...] = ()


def _formula_and_group(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    """Make the key of the paper's duplicates: with the atoms of the cell, the formula is the cell's."""
    numbers = [rows[name].cast(pa.string()) for name in ("nsites", "spacegroup_number")]
    return pc.binary_join_element_wise(rows["reduced_formula"], *numbers, " ")


def _reduced_formula(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    return rows["reduced_formula"]


def chemical_system(formula: str) -> str:
    """Return the elements of a formula, sorted: ``Cl-Na`` of ``NaCl``."""
    return "-".join(sorted(set(re.findall("[A-Z][a-z]?", formula))))


def _chemical_system(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    systems = [chemical_system(formula) for formula in rows["reduced_formula"].to_pylist()]
    return pa.chunked_array([systems], pa.string())


#: Every level, the finest first.
LEVELS: dict[str, Level] = {
    level.name: level
    for level in (
        Level(
            "key",
            "formula and space group",
            ("reduced_formula", "nsites", "spacegroup_number"),
            _formula_and_group,
        ),
        Level(
            "structure",
            "structure (StructureMatcher)",
            ("material_id", "reduced_formula", "nsites", *CRYSTAL),
            structure_classes,
        ),
        Level("formula", "reduced formula", ("reduced_formula",), _reduced_formula, ("key", "structure")),
        Level("prototype", "prototype", CRYSTAL, prototypes),
        Level(
            "chemical-system",
            "chemical system",
            ("reduced_formula",),
            _chemical_system,
            ("formula", "key", "structure"),
        ),
    )
}


def level_keys(release: Release, levels: Iterable[str], workers: int | None = None) -> pa.Table:
    """Compute the keys of every crystal of a release.

    Parameters
    ----------
    release
        The release.
    levels
        Names of levels.
    workers
        Processes for the work on crystals; the number of usable cores by default.

    Returns
    -------
    ``material_id`` and a column of strings for each level; rows by id in string order.
    """
    chosen = [LEVELS[name] for name in levels]
    columns = dict.fromkeys(["material_id", *(name for level in chosen for name in level.columns)])
    rows = release.table(columns=list(columns)).sort_by("material_id")
    keys = rows.select(["material_id"])
    for level in chosen:
        keys = keys.append_column(level.name, level.key(rows, workers or usable_cores()))
    return keys
