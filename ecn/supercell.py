"""The graph of a unit cell on its 2x2x2 supercell, and on the quotient by the translations.

A bond from atom a to the image R of atom b becomes eight edges of the supercell, from
(cell c, atom a) to (cell c xor (R mod 2), atom b): one that leaves the supercell ends at its
representative inside. The difference of the two cells, R mod 2, is the same for all eight.
So without anything that tells the cells apart their features coincide, and the graph on the
atoms alone, with the difference as a label of the bond, gives the same messages at an eighth
of the cost: the *quotient* graph.

Node (cell c, atom a) has the index ``copies * a + c``, with eight copies, or one in the
quotient. Periodic images of one atom keep its identity: an edge joins equal atoms, a = b,
where it joins periodic images of one atom, or a node to itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ecn.batch import CrystalBatch
from ecn.sharing import CellPattern

#: Cells of the 2x2x2 supercell.
N_CELLS = 8


@dataclass(frozen=True, kw_only=True)
class CellGraph:
    """Bonds and self-loops of a batch, sorted by their colour under (cell group) x S_n.

    E counts the bonds of the primitive cells and one self-loop per atom; each stands for
    `copies` consecutive edges of the graph, which share its length and its colour.
    """

    source: Tensor
    """(copies * E,) int64, the node an edge leaves."""
    target: Tensor
    """(copies * E,) int64, the node an edge enters."""
    length: Tensor
    """(E,) float32, in A; 0 for a self-loop."""
    bounds: tuple[int, ...]
    """2 C + 1 offsets into E: colour d of the cells has ``bounds[2 d]`` to ``bounds[2 d + 2]``,
    and those that join equal atoms come first, up to ``bounds[2 d + 1]``."""
    copies: int
    """Edges per bond and nodes per atom: 8, or 1 in the quotient."""

    def segments(self, *, same_atom: bool) -> list[tuple[int, slice]]:
        """The cell colours that occur, with their places among the E bonds.

        Parameters
        ----------
        same_atom
            Only edges that join equal atoms.

        Returns
        -------
        Pairs (colour, places), ascending.
        """
        step = 1 if same_atom else 2
        spans = [slice(self.bounds[k], self.bounds[k + step]) for k in range(0, len(self.bounds) - 1, 2)]
        return [(colour, span) for colour, span in enumerate(spans) if span.start < span.stop]


def cell_difference(image: Tensor) -> Tensor:
    """The difference of the cells that a bond joins, ``4 (R1 mod 2) + 2 (R2 mod 2) + (R3 mod 2)``.

    Parameters
    ----------
    image
        Shape (E, 3), int8.

    Returns
    -------
    Tensor of shape (E,), int64, 0 to 7.
    """
    bits = (image & 1).to(torch.int64)
    return 4 * bits[:, 0] + 2 * bits[:, 1] + bits[:, 2]


def cell_graph(batch: CrystalBatch, pattern: CellPattern, *, quotient: bool) -> CellGraph:
    """Put the bonds of a batch on the supercell or on its quotient, and colour them.

    Parameters
    ----------
    batch
        Crystals as primitive cells.
    pattern
        Colours of the differences of cells.
    quotient
        One node per atom instead of eight.

    Returns
    -------
    The graph on the batch's device.
    """
    atoms = torch.arange(batch.n_atoms, device=batch.edge_source.device)
    source = torch.cat([atoms, batch.edge_source])
    target = torch.cat([atoms, batch.edge_target])
    length = torch.cat([batch.edge_length.new_zeros(batch.n_atoms), batch.edge_length])
    difference = torch.cat([torch.zeros_like(atoms), cell_difference(batch.edge_image)])

    colour_of = torch.from_numpy(pattern.colours).to(atoms.device)
    colour = 2 * colour_of[difference] + (source != target)
    # Within a colour by target: neighbouring edges then add to neighbouring rows.
    order = torch.argsort(colour * batch.n_atoms + target)
    counts = torch.bincount(colour, minlength=2 * pattern.n_colours)
    bounds = (0, *torch.cumsum(counts, 0).tolist())

    source, target = source[order], target[order]
    if not quotient:
        cells = torch.arange(N_CELLS, device=atoms.device)
        source = (N_CELLS * source[:, None] + (cells ^ difference[order, None])).flatten()
        target = (N_CELLS * target[:, None] + cells).flatten()
    return CellGraph(
        source=source,
        target=target,
        length=length[order],
        bounds=bounds,
        copies=1 if quotient else N_CELLS,
    )
