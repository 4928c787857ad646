"""Labels that are suspicious: each check names records to look at, and excludes none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.labels import Label
from mpclean.vocabulary.schema import COLUMNS as VOCABULARY

#: Formation energies of crystals, eV/atom: the strongest known bind with less than 5.
FORMATION_ENERGIES = (-6.0, 5.0)

#: Largest band gap, eV: that of solid helium, below 25.
LARGEST_GAP = 25.0

#: Largest Fermi energy from the average potential of a cell, eV.
LARGEST_FERMI_ENERGY = 50.0

#: By how much rounding alone can make the direct gap less than the indirect one, eV.
GAP_ROUNDING = 1e-6

#: Energy above the hull that rounding alone can make negative, eV/atom.
HULL_ROUNDING = 1e-6

#: Farthest that a polymorph may be from the median of its formula, eV/atom.
FARTHEST_POLYMORPH = 1.0

#: Polymorphs whose median says something.
FEWEST_POLYMORPHS = 3

#: Gap of a compound of metals that is worth a look, eV. Some have one (Zintl phases, CsAu).
GAP_OF_METALS = 0.5

#: An outlier of a label of which no bound is known is farther from the median than this many robust
#: standard deviations; of 100,000 normal values not one is.
OUTLIER = 10.0

#: Values whose median and spread say something.
FEWEST_VALUES = 20

#: A normal distribution has this standard deviation for a median absolute deviation of 1.
_NORMAL = 1.4826

#: Orbitals that spins of equal direction can fill, by block of the element: the shell of the
#: block, each orbital once (Hund's rule), and the s shell; in f also one d electron, as in Gd.
_ORBITALS = {"s": 1, "p": 4, "d": 6, "f": 9}


@dataclass(frozen=True)
class Check:
    """One kind of suspicion.

    Attributes
    ----------
    name
        Name in the JSON of an audit.
    title
        What is suspicious, for tables.
    flags
        From N rows of a release, with those of `COLUMNS` that it has, to (N,) bool, true for
        suspicious ones.
    """

    name: str
    title: str
    flags: Callable[[pa.Table], NDArray[np.bool_]]


#: Labels that are energies of formation of a cell, eV.
_HEATS = ("heat_all", "heat_ref")

#: Labels that are band gaps, eV.
_GAPS = ("band_gap", "dir_gap", "ind_gap")

#: Columns of a release that the checks read, where it has them.
COLUMNS = (
    *("material_id", "reduced_formula", "atomic_numbers"),
    *("formation_energy_per_atom", "e_above_hull", "efermi", "magnetization_per_atom", *_HEATS, *_GAPS),
)


@dataclass(frozen=True)
class Suspicion:
    """What one check found.

    Attributes
    ----------
    name, title
        Of the `Check`.
    material_ids
        Ids of the suspicious records, in the order of the release.
    """

    name: str
    title: str
    material_ids: list[str]


def own_labels(labels: Iterable[Label]) -> list[Label]:
    """Select the labels that a person brought: nothing is known of what their values can be."""
    return [label for label in labels if label.name not in VOCABULARY]


def suspicious(rows: pa.Table, own: Sequence[Label] = ()) -> list[Suspicion]:
    """Find suspicious records, check by check.

    Parameters
    ----------
    rows
        Rows of a release with those of `COLUMNS` that it has, and the columns of `own`.
    own
        Labels of the release's own, of which outliers are suspicious.
    """
    checks = (*CHECKS, *map(_outliers, own))
    ids = rows["material_id"]
    return [Suspicion(check.name, check.title, ids.filter(check.flags(rows)).to_pylist()) for check in checks]


def _outliers(label: Label) -> Check:
    """Make the check of a label for values that are infinite, or far from all others.

    The spread is the median absolute deviation, which outliers do not widen, as they do the standard
    deviation (Hampel, J. Am. Stat. Assoc. 69, 383 (1974)).
    """

    def flags(rows: pa.Table) -> NDArray[np.bool_]:
        values = _numbers(rows, label.name)
        known = values[np.isfinite(values)]
        if len(known) < FEWEST_VALUES:
            return np.isinf(values)
        median = np.median(known)
        spread = _NORMAL * np.median(np.abs(known - median))
        # Where over half of the values are equal, a distance from them says nothing.
        return np.isinf(values) | ((np.abs(values - median) > OUTLIER * spread) & (spread > 0.0))

    unit = f" ({label.unit})" if label.unit else ""
    title = f"{label.name}{unit} over {OUTLIER:g} robust standard deviations from its median"
    return Check(f"outlier of {label.name}", title, flags)


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """Give a column as (N,) floats; nan, of which no comparison is true, where it is null or not there."""
    if name not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    return pc.fill_null(rows[name], float("nan")).to_numpy()


def _no_physical_value(rows: pa.Table) -> NDArray[np.bool_]:
    heats = [_numbers(rows, name) / _n_atoms(rows) for name in _HEATS]
    energies = np.stack([_numbers(rows, "formation_energy_per_atom"), *heats])
    gaps = np.stack([_numbers(rows, name) for name in _GAPS])
    _, direct, indirect = gaps
    return (
        (energies < FORMATION_ENERGIES[0]).any(axis=0)
        | (energies > FORMATION_ENERGIES[1]).any(axis=0)
        | (_numbers(rows, "e_above_hull") < -HULL_ROUNDING)
        | (gaps < 0.0).any(axis=0)
        | (gaps > LARGEST_GAP).any(axis=0)
        | (direct < indirect - GAP_ROUNDING)
        | (np.abs(_numbers(rows, "efermi")) > LARGEST_FERMI_ENERGY)
    )


def _far_from_polymorphs(rows: pa.Table) -> NDArray[np.bool_]:
    energy = _numbers(rows, "formation_energy_per_atom")
    formula = rows["reduced_formula"].combine_chunks().dictionary_encode().indices.to_numpy()
    known = np.flatnonzero(~np.isnan(energy))
    order = known[np.argsort(formula[known], kind="stable")]
    begins = np.flatnonzero(np.diff(formula[order])) + 1
    far = np.zeros(len(energy), dtype=bool)
    for group in np.split(order, begins):
        if len(group) >= FEWEST_POLYMORPHS:
            far[group] = np.abs(energy[group] - np.median(energy[group])) > FARTHEST_POLYMORPH
    return far


def _n_atoms(rows: pa.Table) -> NDArray[np.int64]:
    """Count the atoms in the cells, (N,)."""
    return lists.lengths(rows["atomic_numbers"])


def _per_row(rows: pa.Table, values: NDArray, reduce: np.ufunc) -> NDArray:
    """Reduce a value of every element over the atoms of each row."""
    atoms = lists.flat(rows["atomic_numbers"])
    return reduce.reduceat(values[atoms], lists.begins(_n_atoms(rows)))


@cache
def _orbitals() -> NDArray[np.float64]:
    """Give the largest moment of an atom by atomic number, muB."""
    from pymatgen.core import Element

    return np.array([0, *(_ORBITALS[Element(symbol).block] for symbol in SYMBOLS[1:])], dtype=np.float64)


def _too_magnetic(rows: pa.Table) -> NDArray[np.bool_]:
    return _numbers(rows, "magnetization_per_atom") * _n_atoms(rows) > _per_row(rows, _orbitals(), np.add)


@cache
def _metals() -> NDArray[np.bool_]:
    """Say of every atomic number whether it is a metal."""
    from pymatgen.core import Element

    return np.array([False, *(Element(symbol).is_metal for symbol in SYMBOLS[1:])])


def _gap_of_metals(rows: pa.Table) -> NDArray[np.bool_]:
    return _per_row(rows, _metals(), np.logical_and) & (_numbers(rows, "band_gap") > GAP_OF_METALS)


#: Every check, in the order of tables.
CHECKS = (
    Check("value", "a value beyond what is physical", _no_physical_value),
    Check(
        "polymorph",
        f"formation energy over {FARTHEST_POLYMORPH:g} eV/atom from the median of its formula",
        _far_from_polymorphs,
    ),
    Check("moment", "more magnetisation than its elements can carry", _too_magnetic),
    Check("gap", f"metals only, and a gap over {GAP_OF_METALS:g} eV", _gap_of_metals),
)
