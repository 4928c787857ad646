"""Layers of an equivariant crystal network.

Source: Kaba & Ravanbakhsh 2022 (arXiv 2211.15420), eq. 15 and 26, section A.4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ecn.sharing import CellPattern
from ecn.supercell import CellGraph


class EdgeFunction(nn.Module):
    """A cell-equivariant message, gated and summed over neighbours.

    For the edge from j = (c_j, b) into i = (c_i, a), with ``v = [x_i; x_j; e_ij]``, two
    equivariant maps over the eight cells k, swish after both, weights tied by colour and one
    bias vector each (eq. 26)::

        h_k  = swish(W1[col(c_j, k)] v + b1)
        m_ij = swish(sum_k W2[col(k, c_i)] h_k + b2)

    There are as many different h_k as colours, and the sum over k only counts pairs of
    colours: with the intersection numbers N of the pattern and d the colour of the edge::

        h_s  = swish(W1[s] v + b1)
        m_ij = swish(sum_t W2[t] sum_s N[d, s, t] h_s + b2)

    which holds for every group with the translations. The gate is
    ``m_ij -> sigmoid(w . m_ij + b) m_ij`` (eq. 15).

    W1 is applied to x_i and x_j before they are gathered, once per node, and to e_ij once per
    bond of the primitive cell, of which the supercell has eight copies.

    Parameters
    ----------
    pattern
        Colours of the differences of cells.
    node_width
        Channels of the nodes, and of the messages.
    edge_width
        Channels of the edges.
    """

    intersections: Tensor

    def __init__(self, pattern: CellPattern, node_width: int, edge_width: int) -> None:
        super().__init__()
        n_inputs = 2 * node_width + edge_width
        self.node_width, self.edge_width = node_width, edge_width
        self.weight1 = nn.Parameter(torch.empty(pattern.n_colours, node_width, n_inputs))
        self.bias1 = nn.Parameter(torch.empty(node_width))
        self.weight2 = nn.Parameter(torch.empty(pattern.n_colours, node_width, node_width))
        self.bias2 = nn.Parameter(torch.empty(node_width))
        self.gate = nn.Linear(node_width, 1)
        counts = torch.from_numpy(pattern.intersections).to(torch.get_default_dtype())
        self.register_buffer("intersections", counts, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw tied weights and their biases from +-1/sqrt(fan-in in channels)."""
        for weight, bias in ((self.weight1, self.bias1), (self.weight2, self.bias2)):
            bound = 1.0 / math.sqrt(weight.shape[-1])
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, x: Tensor, e: Tensor, graph: CellGraph, *, same_atom: bool) -> Tensor:
        """The gated messages summed at every node.

        Parameters
        ----------
        x
            Nodes, shape (N, node_width).
        e
            Bonds, shape (E, edge_width).
        graph
            The edges.
        same_atom
            Only the edges that join equal atoms.

        Returns
        -------
        Tensor of shape (N, node_width).
        """
        sizes = (self.node_width, self.node_width, self.edge_width)
        into, out_of, along = self.weight1.flatten(0, 1).split(sizes, dim=1)
        x_into, x_out_of = linear(x, into, self.bias1.repeat(len(self.weight1))), linear(x, out_of)
        mix = torch.einsum("dst,toi->dosi", self.intersections, self.weight2).flatten(2)

        total = torch.zeros_like(x)
        for colour, places in graph.segments(same_atom=same_atom):
            edges = slice(graph.copies * places.start, graph.copies * places.stop)
            target, source = graph.target[edges], graph.source[edges]
            v = x_into.index_select(0, target).add_(x_out_of.index_select(0, source))
            v = v.unflatten(0, (-1, graph.copies)) + linear(e[places], along)[:, None]
            message = silu(linear(silu(v.flatten(0, 1)), mix[colour], self.bias2))
            message = torch.sigmoid(self.gate(message)) * message
            total = total.index_add(0, target, message)
        return total


class NodeFunction(nn.Module):
    """The residual update of a node, ``x_i + L2 swish(L1 [m_i; x_i])`` (section A.4).

    Parameters
    ----------
    width
        Channels of the nodes and of the messages.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(2 * width, width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, x: Tensor, messages: Tensor) -> Tensor:
        """Update nodes of shape (N, width) by their summed messages, of the same shape."""
        return x + self.linear2(silu(self.linear1(torch.cat([messages, x], dim=-1))))


class EquivariantLayer(nn.Module):
    """One round of messages under (cell group) x S_n.

    ``m_i = sum_j phi_1^d(v) + [a = b] phi_2^d(v)``, then the node function: two edge functions
    with weights of their own, the second only between periodic images of one atom and on
    self-loops. Every such group is transitive on the cells, so there is one node function.

    Parameters
    ----------
    pattern
        Colours of the differences of cells.
    node_width
        Channels of the nodes.
    edge_width
        Channels of the edges.
    """

    def __init__(self, pattern: CellPattern, node_width: int, edge_width: int) -> None:
        super().__init__()
        self.phi1 = EdgeFunction(pattern, node_width, edge_width)
        self.phi2 = EdgeFunction(pattern, node_width, edge_width)
        self.update = NodeFunction(node_width)

    def forward(self, x: Tensor, e: Tensor, graph: CellGraph) -> Tensor:
        """Update nodes of shape (N, node_width) along bonds of shape (E, edge_width)."""
        messages = self.phi1(x, e, graph, same_atom=False) + self.phi2(x, e, graph, same_atom=True)
        return self.update(x, messages)
