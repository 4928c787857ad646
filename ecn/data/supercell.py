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
from typing import NamedTuple

import torch
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.symmetry.sharing import CellPattern, cell_differences

#: Bonds of lengths within this are equally long, A: what float32 resolves.
SAME_LENGTH = 1e-6


@dataclass(frozen=True, kw_only=True)
class ColouredGraph:
    """Bonds and self-loops of a batch, sorted by colour.

    E counts the bonds of the primitive cells and one self-loop per atom; each stands for
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
    count: Tensor
    """(E,), how many messages it carries: int64, the bonds that it stands for, 1 but in a graph that is
    `merged`; less where messages fade with the length."""
    bounds: tuple[int, ...]
    """C + 1 offsets into E: colour k has ``bounds[k]`` to ``bounds[k + 1]``."""
    copies: int
    """Edges per bond and nodes per atom: the cells of the supercell, or 1 in the quotient."""

    def places(self, start: int, stop: int) -> slice:
        """The places among the E of the colours `start` to `stop`, the last excluded."""
        return slice(self.bounds[start], self.bounds[stop])

    def edges(self, places: slice) -> slice:
        """The edges that some places among the E stand for."""
        return slice(self.copies * places.start, self.copies * places.stop)

    def expanded(self) -> ColouredGraph:
        """The same edges, each with a length of its own: one copy of copies * E bonds."""
        return ColouredGraph(
            source=self.source,
            target=self.target,
            length=self.length.repeat_interleave(self.copies),
            bond=self.bond.repeat_interleave(self.copies),
            count=self.count.repeat_interleave(self.copies),
            bounds=tuple(self.copies * bound for bound in self.bounds),
            copies=1,
        )

    def merged(self) -> ColouredGraph:
        """The same graph with one edge for all those that say the same, which counts for each of them.

        In symmetric crystals many bonds of an atom lead to images of one other, equally long: their
        messages are equal wherever nothing but nodes, length and colour enters. Lengths are equal to
        `SAME_LENGTH`; the shortest stands for the others.
        """
        source, target = self.source[:: self.copies], self.target[:: self.copies]
        colour = torch.repeat_interleave(torch.tensor(self.bounds).diff()).to(source.device)
        n_nodes = 1 + source.max()
        _, pair = torch.unique((colour * n_nodes + target) * n_nodes + source, return_inverse=True)
        step = (self.length.double() / SAME_LENGTH).round().long()
        _, place, times = torch.unique(
            pair * (1 + step.max()) + step, return_inverse=True, return_counts=True
        )
        first = torch.full_like(times, len(place)).scatter_reduce(
            0, place, torch.arange(len(place), device=place.device), "amin"
        )
        nodes = (self.copies * first[:, None] + torch.arange(self.copies, device=first.device)).flatten()
        counts = torch.bincount(colour[first], minlength=len(self.bounds) - 1)
        return ColouredGraph(
            source=self.source[nodes],
            target=self.target[nodes],
            length=self.length.new_full(times.shape, torch.inf).scatter_reduce(0, place, self.length, "amin"),
            bond=self.bond[first],
            count=times.new_zeros(times.shape).index_add(0, place, self.count),
            bounds=(0, *torch.cumsum(counts, 0).tolist()),
            copies=self.copies,
        )


def cell_difference(image: Tensor, m: int = 2) -> Tensor:
    """The difference of the cells that a bond joins, as the index of the cell ``R mod m``.

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


class Edges(NamedTuple):
    """Bonds of a batch and a self-loop of length zero at every atom, E in all."""

    source: Tensor
    """(E,) int64, atom that it leaves."""
    target: Tensor
    """(E,) int64, atom that it enters."""
    bond: Tensor
    """(E,) int64, place of the bond in the batch; -1 for a self-loop."""
    image: Tensor
    """(E, 3) int64, unit cell of the target relative to the source's."""
    length: Tensor
    """(E,), in A."""


def with_self_loops(batch: CrystalBatch) -> Edges:
    """The bonds of a batch after one self-loop per atom (section A.4)."""
    atoms = torch.arange(batch.n_atoms, device=batch.edge_source.device)
    bonds = torch.arange(len(batch.edge_source), device=atoms.device)
    return Edges(
        source=torch.cat([atoms, batch.edge_source]),
        target=torch.cat([atoms, batch.edge_target]),
        bond=torch.cat([torch.full_like(atoms, -1), bonds]),
        image=torch.cat([atoms.new_zeros(batch.n_atoms, 3), batch.edge_image]),
        length=torch.cat([batch.edge_length.new_zeros(batch.n_atoms), batch.edge_length]),
    )


def coloured_graph(
    edges: Edges, colour: Tensor, n_colours: int, *, side: int, quotient: bool
) -> ColouredGraph:
    """Put edges of primitive cells on the supercell or on its quotient, sorted by colour.

    Parameters
    ----------
    edges
        E edges between the atoms of primitive cells.
    colour
        Shape (E,), int64.
    n_colours
        Number of colours C.
    side
        Side m of the supercell, in unit cells.
    quotient
        One node per atom instead of m^3.
    """
    # Within a colour by target: neighbouring edges then add to neighbouring rows.
    order = torch.argsort(colour * (1 + edges.target.max()) + edges.target)
    counts = torch.bincount(colour, minlength=n_colours)
    source, target = edges.source[order], edges.target[order]
    if not quotient:
        differences = torch.from_numpy(cell_differences(side)).to(order.device)
        into = torch.arange(side**3, device=order.device)
        out_of = differences[cell_difference(edges.image[order], side)]  # target's cell minus R mod m
        source = (side**3 * source[:, None] + out_of).flatten()
        target = (side**3 * target[:, None] + into).flatten()
    return ColouredGraph(
        source=source,
        target=target,
        length=edges.length[order],
        bond=edges.bond[order],
        count=torch.ones_like(order),
        bounds=(0, *torch.cumsum(counts, 0).tolist()),
        copies=1 if quotient else side**3,
    )


def cell_graph(batch: CrystalBatch, colours: Tensor, *, side: int = 2, quotient: bool) -> ColouredGraph:
    """The graph of a batch under a cell group, on the supercell or on its quotient.

    Parameters
    ----------
    batch
        Crystals as primitive cells.
    colours
        As `edge_colours` or `node_colours` give them: one pattern for all crystals, or one for
        each of `mpclean.crystal.bravais.BRAVAIS_TYPES`.
    side
        Side m of the supercell, in unit cells.
    quotient
        One node per atom instead of m^3.

    Returns
    -------
    The graph on the batch's device.
    """
    edges = with_self_loops(batch)
    row = batch.bravais_lattice[batch.crystal[edges.target]] if len(colours) > 1 else 0
    colour = colours[row, cell_difference(edges.image, side), (edges.source != edges.target).long()]
    return coloured_graph(edges, colour, 1 + int(colours.max()), side=side, quotient=quotient)
