"""Layers of an equivariant crystal network.

Source: Kaba & Ravanbakhsh 2022 (arXiv 2211.15420), eq. 8 to 10, 15 and 26, sections A.4 and A.7.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ecn.data.batch import CrystalBatch
from ecn.data.supercell import ColouredGraph
from ecn.symmetry.sharing import CellPattern, cell_pattern, tie

# The derivative of swish, which torch keeps among its operators.
silu_backward = torch.ops.aten.silu_backward


class Gate(nn.Linear):
    """How much of a message passes, ``m -> sigmoid(w . m + b) m`` (eq. 15).

    Parameters
    ----------
    width
        Channels of the messages.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)

    def forward(self, message: Tensor) -> Tensor:
        """Scale messages of shape (E, width)."""
        return torch.sigmoid(super().forward(message)) * message


class ColouredMessagePassing(nn.Module):
    """Messages with one function per colour: equivariant to any permutation group.

    ::

        m_i  = sum_j phi_e^{col(i, j)}([x_i; x_j; e_ij])        (eq. 8 and 9)
        x_i' = phi_v^{col(i)}([m_i; x_i])                        (eq. 10)

    A layer is equivariant to a group of permutations of the nodes if colours of edges and of
    nodes are constant on its orbits (Claim 6.1), which `ecn.symmetry.sharing` finds from generators. All
    permutations (two colours) give a message passing network, translations a convolution on a
    ring or torus, linear functions on all pairs an equivariant multi-layer perceptron.

    Parameters
    ----------
    edge_functions
        One module per colour of the edges, called as `MessageFunction` is.
    node_functions
        One module per colour of the nodes, from (N, message + node channels) to nodes.
    """

    def __init__(self, edge_functions: Iterable[nn.Module], node_functions: Iterable[nn.Module]) -> None:
        super().__init__()
        self.edge_functions = nn.ModuleList(edge_functions)
        self.node_functions = nn.ModuleList(node_functions)

    def forward(
        self, x: Tensor, e: Tensor, graph: ColouredGraph, node_colour: Tensor | None = None
    ) -> Tensor:
        """Update the nodes.

        Parameters
        ----------
        x
            Nodes, shape (N, channels).
        e
            Bonds, shape (E, edge channels).
        graph
            The edges, with as many colours as there are edge functions.
        node_colour
            Shape (N,), int64; all of one colour if left out.

        Returns
        -------
        Tensor of shape (N, channels of the node functions).
        """
        found = []
        for colour, function in enumerate(self.edge_functions):
            places = graph.places(colour, colour + 1)
            if places.start < places.stop:
                found.append((graph.target[graph.edges(places)], function(x, e, graph, places)))
        m = x.new_zeros(len(x), found[0][1].shape[1])
        # Colour by colour: putting the messages of all colours into one tensor first would copy them.
        for target, messages in found:
            m = m.index_add_(0, target, messages.to(x.dtype))
        inputs = torch.cat([m, x], dim=1)
        if node_colour is None:
            return self.node_functions[0](inputs)
        outputs = [function(inputs[node_colour == k]) for k, function in enumerate(self.node_functions)]
        nodes = torch.cat([torch.nonzero(node_colour == k)[:, 0] for k in range(len(outputs))])
        return torch.cat(outputs)[torch.argsort(nodes)]


class MessageFunction(nn.ModuleList):
    """A plain function of an edge: two linear maps, swish after both, and the gate.

    ::

        m_ij = weight gate(swish(W2 swish(W1 [x_i; x_j; e_ij] + b1) + b2))

    W1 is applied to x_i and x_j once per node, before they are gathered.

    Parameters
    ----------
    node_width
        Channels of the nodes, and of the messages.
    edge_width
        Channels of the edges.
    hidden_width
        Channels between the maps; as many as of the nodes if None.
    own
        Whether all edges lead from a node to itself: then W1 is applied to it once, summed.
    """

    def __init__(
        self, node_width: int, edge_width: int, hidden_width: int | None = None, *, own: bool = False
    ) -> None:
        hidden_width = hidden_width or node_width
        first = nn.Linear(2 * node_width + edge_width, hidden_width)
        # The activations hold no weights, but give the maps the places they have in checkpoints.
        super().__init__([first, nn.SiLU(), nn.Linear(hidden_width, node_width), nn.SiLU(), Gate(node_width)])
        self.sizes, self.own = (node_width, node_width, edge_width), own

    def forward(self, x: Tensor, e: Tensor, graph: ColouredGraph, places: slice) -> Tensor:
        """Compute messages.

        Parameters
        ----------
        x
            Nodes, shape (N, node_width).
        e
            Bonds, shape (E, edge_width).
        graph
            The edges.
        places
            Those of the E bonds to go along.

        Returns
        -------
        Tensor of shape (edges, node_width), times the weights of the edges.
        """
        first, second, gate = (cast(nn.Linear, self[k]) for k in (0, 2, 4))
        into, out_of, along = first.weight.split(self.sizes, dim=1)
        along_bonds = linear(e[places], along)
        if self.own:
            v = linear(x, into + out_of, first.bias).index_select(0, graph.target[graph.edges(places)])
            v = v.add_(along_bonds.repeat_interleave(graph.copies, dim=0))
        else:
            v = gather(linear(x, into, first.bias), linear(x, out_of), along_bonds, graph, places)
        parameters = second.weight, second.bias, gate.weight, gate.bias
        return GatedMessage.apply(v, *parameters, weights(graph, places, v.dtype))


def gather(x_into: Tensor, x_out_of: Tensor, along: Tensor, graph: ColouredGraph, places: slice) -> Tensor:
    """Sum what an edge has of its target, its source and its bond.

    Parameters
    ----------
    x_into, x_out_of
        Nodes, shape (N, channels), as targets and as sources.
    along
        Shape (bonds, channels).
    graph, places
        The edges, and which of its bonds.

    Returns
    -------
    Tensor of shape (copies * bonds, channels).
    """
    edges = graph.edges(places)
    v = x_into.index_select(0, graph.target[edges]).add_(x_out_of.index_select(0, graph.source[edges]))
    if graph.copies == 1:
        return v.add_(along)
    return (v.unflatten(0, (-1, graph.copies)) + along[:, None]).flatten(0, 1)


def weights(graph: ColouredGraph, places: slice, dtype: torch.dtype) -> Tensor:
    """Messages that the edges of some bonds carry, shape (copies * bonds, 1)."""
    return graph.weight[places].repeat_interleave(graph.copies)[:, None].to(dtype)


class NodeFunction(nn.Module):
    """The residual update of a node, ``x_i + L2 swish(L1 [m_i; x_i])`` (section A.4).

    Parameters
    ----------
    width
        Channels of the nodes and of the messages.
    dropout
        Probability that a hidden channel is left out while training.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear1 = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Update nodes; `inputs` are messages and nodes side by side, shape (N, 2 * width)."""
        x = inputs[:, inputs.shape[1] // 2 :]
        return x + self.linear2(self.dropout(silu(self.linear1(inputs))))


class GatedMessage(torch.autograd.Function):
    """``m = swish(W2 swish(v) + b2)``, gated and counted: ``count sigmoid(w . m + b) m``.

    The backward pass is its own. Only v and the argument of the second swish are kept for it; what
    autograd would keep besides costs less to compute again than to hold: half of the memory of a
    training step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        weight: Tensor,
        bias: Tensor,
        gate_weight: Tensor,
        gate_bias: Tensor,
        count: Tensor,
    ) -> Tensor:
        """Messages of shape (E, channels) from v of shape (E, slots * hidden channels) and counts (E, 1)."""
        z = linear(silu(v), weight, bias)
        ctx.save_for_backward(v, z, weight, gate_weight, gate_bias, count)
        m = silu(z)
        return torch.sigmoid(linear(m, gate_weight, gate_bias)).mul(count).mul(m)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of v, W2, b2, w, b and, where they fade with a length, the counts."""
        v, z, *parameters, count = ctx.saved_tensors
        weight, gate_weight, gate_bias = (p.to(v.dtype) for p in parameters)  # in mixed precision v is half
        (g,) = gradients
        m = silu(z)
        s = torch.sigmoid(linear(m, gate_weight, gate_bias))
        of_count = (g * s * m).sum(1, keepdim=True) if ctx.needs_input_grad[5] else None
        g = count * g
        of_score = (g * m).sum(1, keepdim=True) * s * (1.0 - s)
        of_z = silu_backward((g * s).addmm_(of_score, gate_weight), z)
        return (
            silu_backward(of_z @ weight, v),
            of_z.T @ silu(v),
            of_z.sum(0),
            of_score.T @ m,
            of_score.sum(0),
            of_count,
        )


class EdgeFunction(nn.Module):
    """A cell-equivariant message, gated.

    For the edge from j = (c_j, b) into i = (c_i, a), with ``v = [x_i; x_j; e_ij]``, two
    equivariant maps over the cells k, swish after both, weights tied by colour and one bias
    vector each (eq. 26)::

        h_k  = swish(W1[col(c_j, k)] v + b1)
        m_ij = swish(sum_k W2[col(k, c_i)] h_k + b2)

    There are as many different h_k as colours, and the sum over k only counts pairs of
    colours: with the intersection numbers N of the pattern and d the colour of the edge::

        h_s  = swish(W1[s] v + b1)
        m_ij = swish(sum_t W2[t] sum_s N[d, s, t] h_s + b2)

    which holds for every group with the translations. W1 is applied to x_i and x_j before they
    are gathered, once per node, and to e_ij once per bond of the primitive cell, of which the
    supercell has a copy in every cell.

    With one pattern for each Bravais type, the weights are those of P1bar, and the edges of a
    crystal use their averages over the colours of its own type (`ecn.symmetry.sharing.tie`).

    Parameters
    ----------
    patterns
        The pattern of all crystals, or those of all Bravais types in their order.
    node_width
        Channels of the nodes, and of the messages.
    edge_width
        Channels of the edges.
    hidden_width
        Channels of every h_s; as many as of the nodes if left out.
    share_output_weights
        One W2 for all colours (section A.7, as we read it). The sum over k then has no colour
        left: messages depend on the edge through v alone.
    """

    def __init__(
        self,
        patterns: Sequence[CellPattern],
        node_width: int,
        edge_width: int,
        *,
        hidden_width: int | None = None,
        share_output_weights: bool = False,
    ) -> None:
        super().__init__()
        hidden_width = hidden_width or node_width
        finest = patterns[0] if len(patterns) == 1 else cell_pattern("P1bar", patterns[0].side)
        n_inputs, n_outputs = 2 * node_width + edge_width, 1 if share_output_weights else finest.n_colours
        self.patterns, self.n_slots = tuple(patterns), finest.n_colours
        self.node_width, self.edge_width = node_width, edge_width
        self.weight1 = nn.Parameter(torch.empty(self.n_slots, hidden_width, n_inputs))
        self.bias1 = nn.Parameter(torch.empty(hidden_width))
        self.weight2 = nn.Parameter(torch.empty(n_outputs, node_width, hidden_width))
        self.bias2 = nn.Parameter(torch.empty(node_width))
        self.gate = Gate(node_width)
        for k, pattern in enumerate(self.patterns):
            average = tie(pattern, finest)
            counts = pattern.intersections @ average
            self.register_buffer(f"tie{k}", torch.tensor(average, dtype=self.bias1.dtype), persistent=False)
            self.register_buffer(f"counts{k}", torch.tensor(counts, dtype=self.bias1.dtype), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw tied weights and their biases from +-1/sqrt(fan-in in channels)."""
        for weight, bias in ((self.weight1, self.bias1), (self.weight2, self.bias2)):
            bound = 1.0 / math.sqrt(weight.shape[-1])
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def messages(
        self, x: Tensor, e: Tensor, graph: ColouredGraph, *, same_atom: bool
    ) -> Iterator[tuple[int, slice, Tensor]]:
        """Compute the gated messages, colour by colour.

        Parameters
        ----------
        x
            Nodes, shape (N, node_width).
        e
            Bonds, shape (E, edge_width).
        graph
            Edges with the colours of `ecn.data.supercell.edge_colours`.
        same_atom
            Only the edges that join equal atoms.

        Yields
        ------
        Colour d of the cells, edges of the graph, and their messages times their weights, shape
        (edges, node_width).
        """
        sizes = (self.node_width, self.node_width, self.edge_width)
        into, out_of, along = self.weight1.flatten(0, 1).split(sizes, dim=1)
        # The biases are the same for all slots, and averages over slots keep them.
        x_into, x_out_of = linear(x, into, self.bias1.repeat(self.n_slots)), linear(x, out_of)
        weight2 = self.weight2.expand(self.n_slots, -1, -1)
        first = 0
        for k, pattern in enumerate(self.patterns):
            mix = None
            for d in range(pattern.n_colours):
                colour = 2 * (first + d)
                places = graph.places(colour, colour + (1 if same_atom else 2))
                if places.start == places.stop:
                    continue
                if mix is None:
                    counts = self.get_buffer(f"counts{k}")
                    mix = torch.einsum("dsk,koi->dosi", counts, weight2).flatten(2)
                v = gather(x_into, x_out_of, linear(e[places], along), graph, places)
                if len(self.patterns) > 1:
                    slots = v.unflatten(1, (self.n_slots, -1))
                    v = torch.einsum("sk,eki->esi", self.get_buffer(f"tie{k}"), slots).flatten(1)
                parameters = mix[d], self.bias2, self.gate.weight, self.gate.bias
                message = GatedMessage.apply(v, *parameters, weights(graph, places, v.dtype))
                yield first + d, graph.edges(places), message
            first += pattern.n_colours

    def forward(self, x: Tensor, e: Tensor, graph: ColouredGraph, *, same_atom: bool) -> Tensor:
        """Compute the messages summed at every node: shape (N, node_width); see `messages`."""
        total = torch.zeros_like(x)
        for _, edges, message in self.messages(x, e, graph, same_atom=same_atom):
            total = total.index_add(0, graph.target[edges], message.to(total.dtype))
        return total


class EquivariantLayer(nn.Module):
    """One round of messages under (cell group) x S_n.

    ``m_i = sum_j phi_1^d(v) + [a = b] phi_2^d(v)``, then the node function: two edge functions
    with weights of their own, the second only between periodic images of one atom and on
    self-loops. Every such group is transitive on the cells, so there is one node function.

    Parameters
    ----------
    patterns
        See `EdgeFunction`.
    node_width
        Channels of the nodes.
    edge_width
        Channels of the edges.
    dropout
        See `NodeFunction`.
    hidden_width, share_output_weights
        See `EdgeFunction`.
    """

    def __init__(
        self,
        patterns: Sequence[CellPattern],
        node_width: int,
        edge_width: int,
        *,
        dropout: float = 0.0,
        hidden_width: int | None = None,
        share_output_weights: bool = False,
    ) -> None:
        super().__init__()
        self.phi1, self.phi2 = (
            EdgeFunction(
                patterns,
                node_width,
                edge_width,
                hidden_width=hidden_width,
                share_output_weights=share_output_weights,
            )
            for _ in range(2)
        )
        self.update = NodeFunction(node_width, dropout)

    def forward(self, x: Tensor, e: Tensor, graph: ColouredGraph) -> Tensor:
        """Update nodes of shape (N, node_width) along bonds of shape (E, edge_width)."""
        messages = self.phi1(x, e, graph, same_atom=False) + self.phi2(x, e, graph, same_atom=True)
        return self.update(torch.cat([messages, x], dim=1))


def mlp(n_inputs: int, width: int, n_outputs: int) -> nn.Sequential:
    """Two linear maps with a swish between them."""
    return nn.Sequential(nn.Linear(n_inputs, width), nn.SiLU(), nn.Linear(width, n_outputs))


def pool(x: Tensor, batch: CrystalBatch, how: str = "mean") -> Tensor:
    """Take the mean or the sum over the atoms of every crystal.

    Parameters
    ----------
    x
        Shape (n, channels), a row for every node, which counts for the atoms that it stands for.
    batch
        The B crystals they belong to.
    how
        "mean", or "sum" for extensive targets (section 7).

    Returns
    -------
    Tensor of shape (B, channels).
    """
    size = batch.node_size[:, None].to(x.dtype)
    total = x.new_zeros(batch.n_crystals, x.shape[1]).index_add(0, batch.crystal, size * x)
    if how == "sum":
        return total
    return total / x.new_zeros(batch.n_crystals, 1).index_add(0, batch.crystal, size)
