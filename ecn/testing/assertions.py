"""Assertions: what equivariance promises, put to the test."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.data.supercell import ColouredGraph
from ecn.models.ecn import ECN
from ecn.testing.batches import crystals_of
from ecn.testing.permutations import ColourOfEdge, permute_nodes, permuted_graph

#: A layer, from nodes, bonds and a graph to nodes.
Layer = Callable[[Tensor, Tensor, ColouredGraph], Tensor]


def assert_equivariant(
    layer: Layer,
    x: Tensor,
    e: Tensor,
    graph: ColouredGraph,
    permutation: Tensor,
    colour: ColourOfEdge,
    tolerance: float = 1e-10,
) -> None:
    """Assert ``layer(g x, e, g graph) = g layer(x, e, graph)`` for a permutation g of the nodes.

    Parameters
    ----------
    layer
        Called with nodes, bonds and a graph, it returns nodes.
    x
        Nodes, shape (N, channels).
    e
        Bonds, shape (E, channels).
    graph
        Their graph.
    permutation
        Shape (N,), an element of the group.
    colour
        The colour of an edge, from its source and its target.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If they differ.
    """
    image, bond = permuted_graph(graph, permutation, colour)
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
    n_cells = model.config.side**3
    x = model.embed(batch).repeat_interleave(n_cells, dim=0)
    on_supercell = model.on_graph(x, model.graph(batch, quotient=False), batch)
    on_quotient = model(batch)
    if model.config.per_site:
        on_quotient = on_quotient.repeat_interleave(n_cells)
    torch.testing.assert_close(on_quotient, on_supercell, rtol=0, atol=tolerance)


def assert_batching_invariant(
    model: Callable[[CrystalBatch], Tensor], batch: CrystalBatch, tolerance: float = 1e-10
) -> None:
    """Assert that a crystal's output does not depend on the crystals beside it.

    Parameters
    ----------
    model
        From B crystals to a tensor of shape (B,).
    batch
        Crystals.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If the outputs of the batch and of its crystals one by one differ.
    """
    alone = [model(crystal) for crystal in crystals_of(batch)]
    torch.testing.assert_close(torch.cat(alone), model(batch), rtol=0, atol=tolerance)
