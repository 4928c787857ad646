"""Crystals of objects in memory: `Structure` of pymatgen, `Atoms` of ASE, `Crystal`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading.bounds import require_bounds
from mpclean.crystal.reading.documents import read_structure
from mpclean.crystal.reading.facts import (
    Reading,
    atomic_number,
    element,
    isotope_notes,
    require_full,
    require_periodic,
)
from mpclean.errors import UserError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


def read_object(structure: Structure | Atoms | Crystal) -> Reading:
    """Take over a crystal from another package, its atoms in their order.

    Parameters
    ----------
    structure
        A periodic `pymatgen.core.Structure`, `ase.Atoms`, or a `Crystal`, which stays as it is.

    Raises
    ------
    UserError
        If it is something else.
    RecordError
        If it is not periodic in three directions, a site is partially occupied or holds no element,
        or the cell is absurd.
    """
    if isinstance(structure, Crystal):
        require_bounds(structure)
        return Reading(structure)
    if hasattr(structure, "cell") and hasattr(structure, "pbc"):
        return read_structure(atoms_document(cast("Atoms", structure)))
    if hasattr(structure, "lattice") and hasattr(structure, "sites"):
        return _pymatgen(cast("Structure", structure))
    raise UserError(
        f"a {type(structure).__name__} where a periodic Structure of pymatgen, Atoms of ASE or a Crystal "
        "was expected"
    )


def _pymatgen(structure: Structure) -> Reading:
    require_periodic(structure.lattice.pbc)
    symbols = [
        element(require_full({_name(one): share for one, share in site.species.items()}, n))
        for n, site in enumerate(structure)
    ]
    moments = structure.site_properties.get("magmom")
    known = moments is not None and all(isinstance(moment, int | float) for moment in moments)
    crystal = Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array([atomic_number(symbol) for symbol in symbols], dtype=np.uint8),
        np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
        np.array(moments, dtype=np.float64) if known else None,
    )
    require_bounds(crystal)
    return Reading(crystal, isotope_notes(symbols))


def _name(species: Any) -> str:
    """Return the symbol of a species; `symbol` of pymatgen is H for deuterium, `name` is D."""
    chemical = getattr(species, "element", species)  # a Species has an Element, a DummySpecies none
    return str(chemical.name if hasattr(chemical, "name") else chemical.symbol)


def atoms_document(atoms: Atoms, occupancy: Mapping[Any, Any] | None = None) -> dict[str, Any]:
    """Write an ASE object as a structure of a document, as pymatgen spells it.

    Moments are those of a calculation; initial ones are a guess and are not read.

    Parameters
    ----------
    atoms
        With ``occupancy`` in its ``info`` (shares of the species by kind, as ASE reads them from CIF
        files) or among its arrays, where it has partial occupancies.
    occupancy
        The shares, where they stand elsewhere.
    """
    results = atoms.calc.results if atoms.calc else {}
    moments = np.asarray(results.get("magmoms", ()))  # three an atom where they are along no axis
    known = moments.tolist() if moments.shape == (len(atoms),) else [None] * len(atoms)
    symbols = [str(symbol) for symbol in atoms.get_chemical_symbols()]
    species = _species(atoms, symbols, occupancy or atoms.info.get("occupancy") or {})
    return {
        "lattice": {"matrix": atoms.cell.array.tolist(), "pbc": [bool(one) for one in atoms.pbc]},
        "sites": [
            {"species": one, "xyz": xyz, "properties": {"magmom": moment}}
            for one, xyz, moment in zip(species, atoms.positions.tolist(), known, strict=True)
        ],
    }


def _species(atoms: Atoms, symbols: list[str], occupancy: Mapping[Any, Any]) -> list[list[dict[str, Any]]]:
    """Return the species of every site with their shares."""
    shares = atoms.arrays.get("occupancy", atoms.arrays.get("occupancies"))
    if shares is not None:
        return [
            [{"element": symbol, "occu": float(share)}] for symbol, share in zip(symbols, shares, strict=True)
        ]
    # ASE numbers the sites of a CIF file, and lists the species of each under its number, which JSON makes
    # text. Without the numbers there is no telling which sites are meant: then all of them.
    kinds = atoms.arrays.get("spacegroup_kinds")
    by_kind = {str(kind): dict(shares) for kind, shares in occupancy.items()}
    if by_kind and kinds is None:
        merged = [
            {"element": symbol, "occu": share}
            for shares in by_kind.values()
            for symbol, share in shares.items()
        ]
        partial = any(len(shares) != 1 or set(shares.values()) != {1} for shares in by_kind.values())
        return [merged] * len(symbols) if partial else [[{"element": symbol}] for symbol in symbols]
    named = [symbols[n] if kinds is None else str(kinds[n]) for n in range(len(symbols))]
    return [
        [{"element": one, "occu": share} for one, share in by_kind.get(name, {symbol: 1.0}).items()]
        for name, symbol in zip(named, symbols, strict=True)
    ]
