"""A crystal as three arrays.

pymatgen and ASE are imported where they are used, so that reading a release costs neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.linear import determinant
from mpclean.vocabulary.elements import SYMBOLS

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
        return float(abs(determinant(self.lattice)))

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Crystal:
        """Take over a row of a release, its lists as Python lists."""
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
            If `mpclean.crystal.reading` refuses it: partial occupancies, fewer than three periodic
            directions, species that are no elements.
        """
        from mpclean.crystal.reading import read_object

        return read_object(structure).crystal

    def to_pymatgen(self) -> Structure:
        """Return the same crystal as a pymatgen structure, with ``magmom`` where it is known."""
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
        """Take over an ASE object.

        Raises
        ------
        UserError
            As `from_pymatgen` does.
        """
        from mpclean.crystal.reading import read_object

        return read_object(atoms).crystal

    def to_ase(self) -> Atoms:
        """Return the same crystal as an ASE object, with moments as those of a calculation."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = Atoms(
            numbers=self.atomic_numbers, cell=self.lattice, scaled_positions=self.frac_coords, pbc=True
        )
        if self.magnetic_moments is not None:
            atoms.calc = SinglePointCalculator(atoms, magmoms=self.magnetic_moments)
        return atoms
