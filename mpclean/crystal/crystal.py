"""A crystal as three arrays, and the doors to and from other packages.

pymatgen and ASE are imported where they are used, so that reading a release costs neither.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpclean.errors import UserError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS, ELECTRONEGATIVITY_ORDER, SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


@dataclass(frozen=True)
class Crystal:
    """A periodic arrangement of atoms, every site fully occupied.

    Attributes
    ----------
    lattice
        (3, 3) float64, A; rows are the cell vectors a, b, c.
    atomic_numbers
        (n,) uint8.
    frac_coords
        (n, 3) float64, in units of the cell vectors.
    magnetic_moments
        (n,) float64, muB per atom, or None where they are not known.
    """

    lattice: NDArray[np.float64]
    atomic_numbers: NDArray[np.uint8]
    frac_coords: NDArray[np.float64]
    magnetic_moments: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.atomic_numbers)

    @property
    def volume(self) -> float:
        """Volume of the cell, A^3."""
        return float(abs(np.linalg.det(self.lattice)))

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Crystal:
        """The crystal of a row of a release, its lists as Python lists."""
        moments = row["magnetic_moments"]
        return cls(
            np.array(row["lattice"], dtype=np.float64).reshape(3, 3),
            np.array(row["atomic_numbers"], dtype=np.uint8),
            np.array(row["frac_coords"], dtype=np.float64).reshape(-1, 3),
            None if moments is None else np.array(moments, dtype=np.float64),
        )

    @classmethod
    def from_pymatgen(cls, structure: Structure) -> Crystal:
        """Take over a pymatgen structure, its sites in their order.

        Raises
        ------
        UserError
            If it is not periodic, or a site is partially occupied or holds no chemical element.
        """
        if not hasattr(structure, "lattice"):
            raise UserError(f"a {type(structure).__name__} where a periodic pymatgen Structure was expected")
        if not structure.is_ordered:
            raise UserError(
                f"{structure.composition.formula}: partial occupancies; order the structure first"
            )
        strange = [site.specie.symbol for site in structure if site.specie.symbol not in ATOMIC_NUMBERS]
        if strange:
            raise UserError(f"{structure.composition.formula}: {strange[0]} is no element")
        moments = structure.site_properties.get("magmom")
        known = moments is not None and all(isinstance(moment, int | float) for moment in moments)
        return cls(
            np.array(structure.lattice.matrix, dtype=np.float64),
            np.array([ATOMIC_NUMBERS[site.specie.symbol] for site in structure], dtype=np.uint8),
            np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
            np.array(moments, dtype=np.float64) if known else None,
        )

    def to_pymatgen(self) -> Structure:
        """The same crystal as a pymatgen structure, with ``magmom`` where it is known."""
        from pymatgen.core import Lattice, Structure

        moments = self.magnetic_moments
        return Structure(
            Lattice(self.lattice),
            [SYMBOLS[z] for z in self.atomic_numbers],
            self.frac_coords,
            site_properties=None if moments is None else {"magmom": moments.tolist()},
        )

    @classmethod
    def from_ase(cls, atoms: Atoms) -> Crystal:
        """Take over an ASE object that is periodic in three directions.

        Raises
        ------
        UserError
            If it is not periodic in three directions.
        """
        if not all(atoms.pbc):
            raise UserError(f"{atoms.get_chemical_formula()}: not periodic in three directions")
        return cls(
            np.array(atoms.cell.array, dtype=np.float64),
            atoms.numbers.astype(np.uint8),
            np.array(atoms.get_scaled_positions(wrap=False), dtype=np.float64),
        )

    def to_ase(self) -> Atoms:
        """The same crystal as an ASE object, with the moments as those of a calculation where known."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = Atoms(
            numbers=self.atomic_numbers, cell=self.lattice, scaled_positions=self.frac_coords, pbc=True
        )
        if self.magnetic_moments is not None:
            atoms.calc = SinglePointCalculator(atoms, magmoms=self.magnetic_moments)
        return atoms


def formula(atomic_numbers: NDArray[np.uint8]) -> str:
    """Formula of a cell with its counts as they stand, as pymatgen writes it: ``Na4 Cl4``.

    Parameters
    ----------
    atomic_numbers
        (n,) atomic numbers of the cell.
    """
    counts = np.bincount(atomic_numbers, minlength=len(SYMBOLS))
    present = sorted(np.nonzero(counts)[0], key=lambda z: ELECTRONEGATIVITY_ORDER[z])
    return " ".join(f"{SYMBOLS[z]}{counts[z]}" for z in present)


def reduced_formula(cell_formula: str) -> str:
    """Divide the counts of ``Na4 Cl4`` by their greatest common divisor: ``NaCl``.

    Unlike pymatgen's, it knows no special molecules: N2 is N, as its cell has it.

    Parameters
    ----------
    cell_formula
        As `formula` writes it.
    """
    parts = [(part.rstrip("0123456789"), part) for part in cell_formula.split()]
    counts = [int(part[len(symbol) :]) for symbol, part in parts]
    divisor = gcd(*counts)
    return "".join(
        symbol + (str(count // divisor) if count > divisor else "")
        for (symbol, _), count in zip(parts, counts, strict=True)
    )


def read_crystals(path: Path) -> list[Crystal]:
    """Read every crystal of a structure file: CIF, POSCAR, extended XYZ, pymatgen JSON, ...

    CIF, POSCAR and JSON go through pymatgen, all else through ASE.

    Raises
    ------
    UserError
        If the file is missing or holds no crystal that can be read, or one with partial
        occupancies.
    """
    if not path.is_file():
        raise UserError(f"{path}: " + ("a folder, name its files" if path.is_dir() else "no such file"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parsers, about spellings that they understood
            crystals = _read_crystals(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # the parsers of two libraries raise without a common base
        raise UserError(f"{path}: not a crystal structure that pymatgen or ASE can read ({error})") from error
    if not crystals:
        raise UserError(f"{path}: holds no crystal structure")
    return crystals


def _read_crystals(path: Path) -> list[Crystal]:
    name = path.name.lower()
    if name.endswith((".cif", ".cif.gz")):
        from pymatgen.io.cif import CifParser

        return [Crystal.from_pymatgen(s) for s in CifParser(path).parse_structures(primitive=False)]
    if name.endswith((".vasp", ".json", ".json.gz")) or "poscar" in name or "contcar" in name:
        from pymatgen.core import Structure

        return [Crystal.from_pymatgen(Structure.from_file(path))]
    from ase.io import read

    return [Crystal.from_ase(atoms) for atoms in read(path, index=":")]
