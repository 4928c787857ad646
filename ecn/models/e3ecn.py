"""The E(3)-equivariant variant of the equivariant crystal network (section A.5, eq. 27)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecn.data.batch import CrystalBatch
from ecn.data.supercell import ColouredGraph
from ecn.models.ecn import ECN, ECNConfig
from ecn.models.layers import EdgeFunction, NodeFunction, mlp
from ecn.symmetry.sharing import CellPattern


class E3ECN(ECN):
    """Messages with one function per colour that see and move the atoms.

    ::

        m_ij = phi_e^col(h_i, h_j, |x_i - x_j|^2, e_ij)
        x_i' = x_i + C sum_j (x_i - x_j) phi_x^col(m_ij)
        h_i' = phi_h(h_i, sum_j m_ij)                            (eq. 27)

    with the periodic displacement ``x_i - x_j`` of each edge, and C one over the number of edges
    into i. Features h are invariant under rotations, reflections and translations of the
    crystal, and the moves x' - x turn with it (Satorras et al., *E(n) Equivariant Graph Neural
    Networks*, ICML 2021). Under permutations the network is equivariant as `ecn.models.ecn.ECN`
    is. The last layer moves no atoms, since nothing reads them any more.

    Parameters
    ----------
    config
        Options, those of `ECN`; the group S8n has no colours of cells and is not among them, nor is an
        envelope, for the moves count every edge in full.

    Raises
    ------
    ValueError
        If the group is not one of the cells, or there is an envelope.
    """

    def _layers(self, patterns: tuple[CellPattern, ...]) -> list[nn.Module]:
        if not patterns:
            raise ValueError("group S8n has no colours of cells; choose another for e3ecn")
        if any(
            value is not None
            for value in (self.config.envelope, self.config.fade_area, self.config.fade_length)
        ):
            raise ValueError(
                "atoms move by edges that do not fade; leave envelope, fade_area and fade_length null"
            )
        last = self.config.n_layers - 1
        return [E3Layer(patterns, self.config, moves=k < last) for k in range(self.config.n_layers)]

    def labels(self, batch: CrystalBatch) -> None:
        """Merge nothing: copies of an edge, and equivalent atoms, differ by their displacements."""

    def on_graph(self, x: Tensor, graph: ColouredGraph, batch: CrystalBatch) -> Tensor:
        """Everything after the embedding; see `ECN.on_graph`."""
        h, _ = self._pass(x, graph, batch)
        return self.read_out(h, batch)

    def moves(self, batch: CrystalBatch) -> Tensor:
        """How far the layers move the nodes, ``x' - x``: a vector for every node.

        Parameters
        ----------
        batch
            B crystals with n atoms in all.

        Returns
        -------
        Tensor of shape (copies * n, 3), in A, Cartesian.
        """
        graph = self.graph(batch, quotient=not self.config.symmetry_breaking)
        return self._pass(self.embed(batch), graph, batch)[1]

    def _pass(self, h: Tensor, graph: ColouredGraph, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        graph = graph.expanded()  # copies of an edge differ once their atoms have moved
        e = self.bond(self.basis(graph.length))
        displacement = displacements(batch).to(e.dtype)[graph.bond]
        displacement = displacement * (graph.bond >= 0)[:, None]  # a self-loop has none
        moved = h.new_zeros(len(h), 3)
        for layer in self.layers:
            assert isinstance(layer, E3Layer)
            m = layer.messages(h, torch.cat([e, displacement.square().sum(1, keepdim=True)], 1), graph)
            if layer.move is not None:
                step = layer.step(layer.move(m), displacement, graph, len(h))
                displacement = displacement + step[graph.target] - step[graph.source]
                moved = moved + step
            h = layer.update(
                torch.cat([h.new_zeros(h.shape).index_add(0, graph.target, m.to(h.dtype)), h], dim=1)
            )
        return h, moved


class E3Layer(nn.Module):
    """The functions of one round of eq. 27.

    Parameters
    ----------
    patterns
        See `ecn.models.layers.EdgeFunction`.
    config
        Options of the network.
    moves
        Whether it moves the atoms.
    """

    def __init__(self, patterns: tuple[CellPattern, ...], config: ECNConfig, *, moves: bool) -> None:
        super().__init__()
        self.phi1, self.phi2 = (
            EdgeFunction(
                patterns,
                config.width,
                config.n_centres + 1,
                hidden_width=config.hidden_width,
                share_output_weights=config.share_output_weights,
            )
            for _ in range(2)
        )
        n_colours = sum(pattern.n_colours for pattern in patterns)
        self.move = mlp(config.width, config.width, n_colours) if moves else None
        self.update = NodeFunction(config.width, config.dropout)

    def messages(self, h: Tensor, e: Tensor, graph: ColouredGraph) -> Tensor:
        """One message for every edge: shape (E, width)."""
        m = torch.cat([message for _, _, message in self.phi1.messages(h, e, graph, same_atom=False)])
        own = list(self.phi2.messages(h, e, graph, same_atom=True))
        edges = torch.cat([torch.arange(span.start, span.stop, device=h.device) for _, span, _ in own])
        return m.index_add(0, edges, torch.cat([message for _, _, message in own]))

    def step(self, weights: Tensor, displacement: Tensor, graph: ColouredGraph, n_nodes: int) -> Tensor:
        """Compute the moves of the nodes, shape (n_nodes, 3), in A, by a weight for every edge and colour."""
        bounds = torch.tensor(graph.bounds[::2])  # two colours of edges to one of cells
        colours = torch.arange(len(bounds) - 1).repeat_interleave(bounds.diff()).to(weights.device)
        along = weights.gather(1, colours[:, None]) * displacement
        total = along.new_zeros(n_nodes, 3).index_add(0, graph.target, along)
        return total / torch.bincount(graph.target, minlength=n_nodes)[:, None]


def displacements(batch: CrystalBatch) -> Tensor:
    """Compute the vector of every bond, from its source to its target.

    Parameters
    ----------
    batch
        Crystals with E bonds in all.

    Returns
    -------
    Tensor of shape (E, 3), in A, Cartesian.
    """
    fractional = (
        batch.frac_coords[batch.edge_target] + batch.edge_image - batch.frac_coords[batch.edge_source]
    )
    lattice = batch.lattice[batch.crystal[batch.edge_source]]
    return torch.einsum("ei,eij->ej", fractional, lattice)
