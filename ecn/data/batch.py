"""A batch of crystals: every tensor a model may read, with its shape, dtype and unit.

This is the vocabulary: `ecn.data.tensors.CrystalTensors` holds the same tensors for a whole data set.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CrystalBatch(NamedTuple):
    """B crystals with n nodes, a atoms and E directed bonds in all, as one disconnected graph.

    Nodes and bonds are those of the primitive cells: the supercell is a matter of the model
    (`ecn.data.supercell`). As read from a release a node is an atom and both directions of a bond are
    listed, and several bonds may join one pair of atoms through different images. Where a model has had
    it reduced (`ecn.data.reduction`), a node stands for all atoms that the model cannot tell apart, and a
    bond for all that bring the node equal messages. There are no self-loops of length zero.
    """

    # A named tuple, for trainers know how to walk it and nobody can change it.
    atomic_numbers: Tensor
    """(n,) int64, atomic number of every node."""
    crystal: Tensor
    """(n,) int64, the crystal that every node belongs to, 0 to B - 1, ascending."""
    node_size: Tensor
    """(n,) int64, atoms that a node stands for: 1 unless reduced."""
    atom_node: Tensor
    """(a,) int64, the node that stands for an atom, for all atoms of the crystals in their order."""
    edge_source: Tensor
    """(E,) int64, the node that a bond leaves, numbered through the batch."""
    edge_target: Tensor
    """(E,) int64, the node that a bond enters, numbered through the batch."""
    edge_image: Tensor
    """(E, 3) int8, unit cell of the target relative to the source's, along a1, a2, a3."""
    edge_length: Tensor
    """(E,) float32, length of the bond, in A."""
    edge_area: Tensor
    """(E,) float32, area of the Voronoi face that the bond crosses, in A^2; infinite where the release
    does not state it, so that nothing fades with it."""
    edge_weight: Tensor
    """(E,) float32, messages that a bond carries: 1 as read, their number once reduced, less where
    they fade."""
    lattice: Tensor
    """(B, 3, 3) float32, rows a1, a2, a3 of the primitive cells, in A."""
    frac_coords: Tensor
    """(n, 3) float32, fractional coordinates of the nodes; of its first atom where a node has several."""
    bravais_lattice: Tensor
    """(B,) int64, place of the crystal's type in `mpclean.crystal.bravais.BRAVAIS_TYPES`."""
    is_hubbard: Tensor
    """(B,) int8: 1 computed with Hubbard U, 0 without, -1 not known."""
    n_crystals: int
    """B, a plain number."""
    node_label: Tensor | None = None
    """(n,) int64, what a model tells nodes apart by; None until one has said so."""
    edge_label: Tensor | None = None
    """(E,) int64, what a model tells bonds apart by, beside ends and length; None until one has said so."""

    @property
    def n_nodes(self) -> int:
        """Number of nodes n."""
        return len(self.atomic_numbers)

    @property
    def n_atoms(self) -> int:
        """Number of atoms a."""
        return len(self.atom_node)

    def with_bonds(self, places: Tensor) -> CrystalBatch:
        """Take some of the bonds, by their places or a mask, in that order."""
        bonds = {
            name: value[places]
            for name, value in self._asdict().items()
            if name.startswith("edge_") and value is not None
        }
        return self._replace(**bonds)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> CrystalBatch:
        """Bring the batch to another device, and its real numbers to another precision."""
        moved = {
            name: value.to(device, dtype if value.is_floating_point() else None)
            for name, value in self._asdict().items()
            if isinstance(value, Tensor)
        }
        return CrystalBatch(**{**self._asdict(), **moved})
