"""A batch of crystals: every tensor a model may read, with its shape, dtype and unit."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CrystalBatch(NamedTuple):
    """B crystals with n atoms and E directed bonds in all, as one disconnected graph.

    Atoms and bonds are those of the primitive cells: the supercell is a matter of the model
    (`ecn.data.supercell`). Both directions of a bond are listed, and several bonds may join one
    pair of atoms through different images. There are no self-loops of length zero.
    """

    # A named tuple, for trainers know how to walk it and nobody can change it.
    atomic_numbers: Tensor
    """(n,) int64, atomic number of every atom."""
    crystal: Tensor
    """(n,) int64, the crystal that every atom belongs to, 0 to B - 1, ascending."""
    edge_source: Tensor
    """(E,) int64, the atom that a bond leaves, numbered through the batch."""
    edge_target: Tensor
    """(E,) int64, the atom that a bond enters, numbered through the batch."""
    edge_image: Tensor
    """(E, 3) int8, unit cell of the target relative to the source's, along a1, a2, a3."""
    edge_length: Tensor
    """(E,) float32, length of the bond, in A."""
    lattice: Tensor
    """(B, 3, 3) float32, rows a1, a2, a3 of the primitive cells, in A."""
    frac_coords: Tensor
    """(n, 3) float32, fractional coordinates of the atoms."""
    bravais_lattice: Tensor
    """(B,) int64, place of the crystal's type in `mpclean.crystal.bravais.BRAVAIS_TYPES`."""
    is_hubbard: Tensor
    """(B,) int8: 1 computed with Hubbard U, 0 without, -1 not known."""
    n_crystals: int
    """B, a plain number."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms n."""
        return len(self.atomic_numbers)

    def to(self, *, dtype: torch.dtype) -> CrystalBatch:
        """Bring lengths, lattices and coordinates to another precision."""
        floats = {name: getattr(self, name).to(dtype) for name in ("edge_length", "lattice", "frac_coords")}
        return self._replace(**floats)
