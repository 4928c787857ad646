"""Permutations of the nodes of a supercell, as they act on features and on graphs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ecn.data.supercell import ColouredGraph
from ecn.symmetry.groups import Permutation
from ecn.symmetry.sharing import CellPattern

#: The colours of edges, from their sources and their targets.
ColourOfEdge = Callable[[Tensor, Tensor], Tensor]


def node_permutation(cells: Permutation, n_atoms: int) -> Tensor:
    """Return a permutation of the cells on the nodes of a supercell.

    Parameters
    ----------
    cells
        Shape (cells,).
    n_atoms
        Number of atoms n.

    Returns
    -------
    Tensor of shape (cells * n,), int64, in the order of `ecn.data.supercell`.
    """
    atoms = torch.arange(n_atoms)[:, None]
    return (len(cells) * atoms + torch.from_numpy(cells)).flatten()


def colour_under(pattern: CellPattern) -> ColourOfEdge:
    """Compute the colour of an edge between two nodes of a supercell under (cell group) x S_n.

    Parameters
    ----------
    pattern
        Of the cell group.
    """
    matrix, n = torch.from_numpy(pattern.matrix()), pattern.n_cells
    return lambda source, target: 2 * matrix[source % n, target % n] + (source // n != target // n)


def permuted_graph(
    graph: ColouredGraph, permutation: Tensor, colour: ColourOfEdge
) -> tuple[ColouredGraph, Tensor]:
    """Let a permutation of the nodes act on a graph, and colour the image anew.

    Beyond translations and inversion the symmetries of a lattice need not map a crystal's
    graph to itself: the image is another graph, with every edge a bond of its own.

    Parameters
    ----------
    graph
        Any graph.
    permutation
        Of its nodes, shape (N,).
    colour
        The colour of an edge, from its source and its target.

    Returns
    -------
    The image of the graph, and for each of its edges the place of its bond in `graph`.
    """
    own = graph.expanded()
    place = torch.repeat_interleave(torch.arange(len(graph.length)), graph.copies)
    source, target = permutation[own.source], permutation[own.target]
    colours = colour(source, target)
    order = torch.argsort(colours)
    counts = torch.bincount(colours, minlength=len(graph.bounds) - 1)
    image = ColouredGraph(
        source=source[order],
        target=target[order],
        length=own.length[order],
        bond=own.bond[order],
        weight=own.weight[order],
        bounds=(0, *torch.cumsum(counts, 0).tolist()),
        copies=1,
    )
    return image, place[order]


def permute_nodes(x: Tensor, permutation: Tensor) -> Tensor:
    """Move the features of node i to node ``permutation[i]``; x has shape (N, ...)."""
    moved = torch.empty_like(x)
    moved[permutation] = x
    return moved
