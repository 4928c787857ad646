"""The graph of a unit cell on its supercell, and on the quotient by the translations.

A bond from atom a to the image R of atom b becomes one edge in each of the m^3 cells of the
supercell of side m, from (cell c, atom a) to (cell c + R mod m, atom b): one that leaves the
supercell ends at its representative inside. The difference of the two cells, R mod m, is the
same for all of these copies. So without anything that tells the cells apart their features
coincide, and the graph on the atoms alone, with the difference as a label of the bond, gives
the same messages at a fraction 1/m^3 of the cost: the *quotient* graph.

Node (cell c, atom a) has the index ``copies * a + c``, with m^3 copies, or one in the
quotient. Periodic images of one atom keep its identity: an edge joins equal atoms, a = b,
where it joins periodic images of one atom, or a node to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.symmetry.sharing import CellPattern, cell_differences


@dataclass(frozen=True, kw_only=True)
class ColouredGraph:
    """Bonds and self-loops of a batch, sorted by colour.

    E counts the bonds of the primitive cells and one self-loop per node; each stands for
    `copies` consecutive edges of the graph, which share its length and its colour.
    """

    source: Tensor
    """(copies * E,) int64, the node an edge leaves."""
    target: Tensor
    """(copies * E,) int64, the node an edge enters."""
    length: Tensor
    """(E,) float32, in A; 0 for a self-loop."""
    bond: Tensor
    """(E,) int64, place of the bond in the batch; -1 for a self-loop."""
    weight: Tensor
    """(E,) float, messages that it carries, see `ecn.data.batch.CrystalBatch`; 1 for a self-loop."""
    bounds: tuple[int, ...]
    """C + 1 offsets into E: colour k has ``bounds[k]`` to ``bounds[k + 1]``."""
    copies: int
    """Edges per bond and nodes per atom: the cells of the supercell, or 1 in the quotient."""

    def places(self, start: int, stop: int) -> slice:
        """Find the places among the E of the colours `start` to `stop`, the last excluded."""
        return slice(self.bounds[start], self.bounds[stop])

    def edges(self, places: slice) -> slice:
        """Return the edges that some places among the E stand for."""
        return slice(self.copies * places.start, self.copies * places.stop)

    def expanded(self) -> ColouredGraph:
        """Return the same edges, each with a length of its own: one copy of copies * E bonds."""
        return ColouredGraph(
            source=self.source,
            target=self.target,
            length=self.length.repeat_interleave(self.copies),
            bond=self.bond.repeat_interleave(self.copies),
            weight=self.weight.repeat_interleave(self.copies),
            bounds=tuple(self.copies * bound for bound in self.bounds),
            copies=1,
        )


def cell_difference(image: Tensor, m: int = 2) -> Tensor:
    """Compute the difference of the cells that a bond joins, as the index of the cell ``R mod m``.

    Parameters
    ----------
    image
        Shape (E, 3), integers.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Tensor of shape (E,), int64, 0 to m^3 - 1.
    """
    b1, b2, b3 = torch.remainder(image.long(), m).unbind(-1)
    return (b1 * m + b2) * m + b3


def edge_colours(patterns: Sequence[CellPattern]) -> Tensor:
    """Colours of edges under (cell group) x S_n: pairs of the two colours (eq. 13 and 14).

    Parameters
    ----------
    patterns
        Patterns of the cell groups in use, on supercells of one side.

    Returns
    -------
    Tensor of shape (patterns, cells, 2), int64: the colour of an edge by the pattern of its
    crystal, the difference of its cells, and whether it joins different atoms. The patterns
    have colours of their own, one after another, and ``2 d`` and ``2 d + 1`` belong together.
    """
    first, tables = 0, []
    for pattern in patterns:
        colours = first + torch.from_numpy(pattern.colours)
        tables.append(torch.stack([2 * colours, 2 * colours + 1], dim=1))
        first += pattern.n_colours
    return torch.stack(tables)


def node_colours(side: int) -> Tensor:
    """Colours of edges under all permutations of the nodes: a node to itself, or another.

    Parameters
    ----------
    side
        Side m of the supercell, in unit cells.

    Returns
    -------
    Tensor of shape (1, cells, 2), int64: 0 for edges from a node to itself, else 1.
    """
    table = torch.ones(1, side**3, 2, dtype=torch.int64)
    table[0, 0, 0] = 0
    return table


def bond_colours(batch: CrystalBatch, colours: Tensor, side: int) -> Tensor:
    """Find the colour of every bond of primitive cells.

    Parameters
    ----------
    batch
        Crystals with E bonds in all, not reduced: in a reduced graph equal ends need not be one atom.
    colours
        As `edge_colours` or `node_colours` give them: one pattern for all crystals, or one for
        each of `mpclean.crystal.bravais.BRAVAIS_TYPES`.
    side
        Side m of the supercell, in unit cells.

    Returns
    -------
    Tensor of shape (E,), int64.
    """
    row = batch.bravais_lattice[batch.crystal[batch.edge_target]] if len(colours) > 1 else 0
    differ = (batch.edge_source != batch.edge_target).long()
    return colours[row, cell_difference(batch.edge_image, side), differ]


def loop_colours(batch: CrystalBatch, colours: Tensor) -> Tensor:
    """Find the colour of the self-loop of every node, (n,) int64; parameters as for `bond_colours`."""
    row = batch.bravais_lattice[batch.crystal] if len(colours) > 1 else torch.zeros_like(batch.crystal)
    return colours[row, 0, 0]


def coloured_graph(
    batch: CrystalBatch,
    bond_colour: Tensor,
    loop_colour: Tensor,
    n_colours: int,
    *,
    side: int,
    quotient: bool,
) -> ColouredGraph:
    """Put bonds, and a self-loop at every node (section A.4), on the supercell or on its quotient.

    Parameters
    ----------
    batch
        Crystals with n nodes and E bonds in all.
    bond_colour, loop_colour
        Shapes (E,) and (n,), int64.
    n_colours
        Number of colours C.
    side
        Side m of the supercell, in unit cells.
    quotient
        One node per node of the primitive cell instead of m^3.

    Returns
    -------
    The graph on the batch's device, sorted by colour, with n + E edges.
    """
    nodes = torch.arange(batch.n_nodes, device=batch.edge_source.device)
    bonds = torch.arange(len(batch.edge_source), device=nodes.device)
    colour = torch.cat([loop_colour, bond_colour])
    target = torch.cat([nodes, batch.edge_target])
    # Within a colour by target: neighbouring edges then add to neighbouring rows.
    order = torch.argsort(colour * batch.n_nodes + target)
    source, target = torch.cat([nodes, batch.edge_source])[order], target[order]
    if not quotient:
        image = torch.cat([batch.edge_image.new_zeros(batch.n_nodes, 3), batch.edge_image])[order]
        differences = torch.from_numpy(cell_differences(side)).to(order.device)
        into = torch.arange(side**3, device=order.device)
        out_of = differences[cell_difference(image, side)]  # target's cell minus R mod m
        source = (side**3 * source[:, None] + out_of).flatten()
        target = (side**3 * target[:, None] + into).flatten()
    length, weight = batch.edge_length, batch.edge_weight
    counts = torch.bincount(colour, minlength=n_colours)
    return ColouredGraph(
        source=source,
        target=target,
        length=torch.cat([length.new_zeros(batch.n_nodes), length])[order],
        bond=torch.cat([torch.full_like(nodes, -1), bonds])[order],
        weight=torch.cat([weight.new_ones(batch.n_nodes), weight])[order],
        bounds=(0, *torch.cumsum(counts, 0).tolist()),
        copies=1 if quotient else side**3,
    )


def cell_graph(batch: CrystalBatch, colours: Tensor, *, side: int = 2, quotient: bool) -> ColouredGraph:
    """Make the graph of crystals as read under a cell group; parameters as of the functions it calls."""
    bonds, loops = bond_colours(batch, colours, side), loop_colours(batch, colours)
    return coloured_graph(batch, bonds, loops, 1 + int(colours.max()), side=side, quotient=quotient)
