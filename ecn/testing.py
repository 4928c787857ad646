"""Assertions for networks of one's own: what equivariance promises, put to the test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ecn.batch import CrystalBatch
from ecn.groups import Permutation
from ecn.models.ecn import ECN
from ecn.sharing import CellPattern
from ecn.supercell import N_CELLS, CellGraph, cell_graph


def random_batch(
    seed: int = 0, sizes: tuple[int, ...] = (3, 1, 4), dtype: torch.dtype = torch.float64
) -> CrystalBatch:
    """Crystals with random bonds: parallel ones, and some between images of one atom.

    Parameters
    ----------
    seed
        Seed of everything.
    sizes
        Atoms of every crystal.
    dtype
        Of the lengths.
    """
    rng = np.random.default_rng(seed)
    crystal = np.repeat(np.arange(len(sizes)), sizes)
    first = np.cumsum([0, *sizes[:-1]])
    of_bond = np.repeat(crystal, 4)
    source, target = (first[of_bond] + rng.integers(np.array(sizes)[of_bond]) for _ in range(2))
    image = rng.integers(-2, 3, size=(len(of_bond), 3))
    image[(source == target) & ~image.any(axis=1)] = (1, 0, 0)
    length = rng.uniform(1.5, 4.0, size=len(of_bond))
    return CrystalBatch(
        atomic_numbers=torch.from_numpy(rng.integers(1, 104, size=len(crystal))),
        crystal=torch.from_numpy(crystal),
        edge_source=torch.from_numpy(np.concatenate([source, target])),
        edge_target=torch.from_numpy(np.concatenate([target, source])),
        edge_image=torch.from_numpy(np.concatenate([image, -image]).astype(np.int8)),
        edge_length=torch.from_numpy(np.tile(length, 2)).to(dtype),
        n_crystals=len(sizes),
    )


def permute_cells(
    graph: CellGraph, pattern: CellPattern, permutation: Permutation
) -> tuple[CellGraph, Tensor]:
    """Let a permutation of the cells act on nodes and edges of a supercell graph together.

    Beyond translations and inversion the symmetries of a lattice need not map a crystal's
    graph to itself: the image is another graph, with every edge a bond of its own.

    Parameters
    ----------
    graph
        On the supercell.
    pattern
        Colours of the differences of cells.
    permutation
        Of the 8 cells, from the pattern's group.

    Returns
    -------
    The image of the graph, and for each of its edges the bond of `graph` it comes from.
    """
    g = torch.from_numpy(permutation)
    colours = torch.from_numpy(pattern.colours)
    source, target = (
        N_CELLS * (node // N_CELLS) + g[node % N_CELLS] for node in (graph.source, graph.target)
    )
    bond = torch.repeat_interleave(torch.arange(len(graph.length)), graph.copies)
    other_atom = source // N_CELLS != target // N_CELLS
    colour = 2 * colours[(source % N_CELLS) ^ (target % N_CELLS)] + other_atom
    order = torch.argsort(colour)
    counts = torch.bincount(colour, minlength=2 * pattern.n_colours)
    image = CellGraph(
        source=source[order],
        target=target[order],
        length=graph.length[bond[order]],
        bounds=(0, *torch.cumsum(counts, 0).tolist()),
        copies=1,
    )
    return image, bond[order]


def permute_nodes(x: Tensor, permutation: Permutation) -> Tensor:
    """Move the features of cell c to cell ``permutation[c]``; x has shape (8 n, ...)."""
    moved = torch.empty_like(x).unflatten(0, (-1, N_CELLS))
    moved[:, torch.from_numpy(permutation)] = x.unflatten(0, (-1, N_CELLS))
    return moved.flatten(0, 1)


def assert_equivariant(
    layer: nn.Module,
    x: Tensor,
    e: Tensor,
    graph: CellGraph,
    pattern: CellPattern,
    permutation: Permutation,
    tolerance: float = 1e-10,
) -> None:
    """Assert ``layer(g x, e, g graph) = g layer(x, e, graph)`` for a permutation g of the cells.

    Parameters
    ----------
    layer
        Called with nodes, bonds and a graph, it returns nodes.
    x
        Nodes, shape (8 n, channels).
    e
        Bonds, shape (E, channels).
    graph
        On the supercell.
    pattern
        Colours of the differences of cells.
    permutation
        Of the 8 cells, from the pattern's group.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If they differ.
    """
    image, bond = permute_cells(graph, pattern, permutation)
    found = layer(permute_nodes(x, permutation), e[bond], image)
    torch.testing.assert_close(found, permute_nodes(layer(x, e, graph), permutation), rtol=0, atol=tolerance)


def assert_quotient_equal(model: ECN, batch: CrystalBatch, tolerance: float = 1e-10) -> None:
    """Assert that a model without symmetry breaking says the same on supercell and quotient.

    Parameters
    ----------
    model
        With ``symmetry_breaking`` off.
    batch
        Crystals.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If they differ.
    """
    graph = cell_graph(batch, model.pattern, quotient=False)
    x = model.embed(batch).repeat_interleave(N_CELLS, dim=0)
    torch.testing.assert_close(model(batch), model.on_graph(x, graph, batch), rtol=0, atol=tolerance)
