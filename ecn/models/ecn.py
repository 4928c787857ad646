"""Equivariant crystal networks (Kaba & Ravanbakhsh, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ecn.data.batch import CrystalBatch
from ecn.data.supercell import (
    ColouredGraph,
    bond_colours,
    cell_difference,
    coloured_graph,
    edge_colours,
    loop_colours,
    node_colours,
)
from ecn.models.base import CrystalModel, ModelConfig
from ecn.models.features import (
    N_COLUMNS,
    N_ELEMENTS,
    N_PERIODS,
    BesselBasis,
    GaussianBasis,
    element_one_hot,
    envelope,
    group_period_encoding,
)
from ecn.models.layers import (
    ColouredMessagePassing,
    EquivariantLayer,
    MessageFunction,
    NodeFunction,
    mlp,
    pool,
)
from ecn.symmetry.groups import GROUPS
from ecn.symmetry.sharing import CellPattern, cell_pattern
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.errors import UserError, closest


@dataclass(frozen=True)
class ECNConfig(ModelConfig):
    """Options of `ECN`; the defaults are the published ones."""

    group: str = "S8"
    """Group of the nodes: S8, P1bar or a Bravais type for the cells, times S_n for the atoms;
    S8n for all permutations of the nodes; lattice for each crystal's own Bravais type."""
    width: int = 100
    """Channels of the nodes."""
    n_layers: int = 6
    """Rounds of messages, each with weights of its own."""
    symmetry_breaking: bool = True
    """Whether nodes know their cells (sections 4 and 5 of the paper)."""
    side: int = 2
    """Side of the supercell, in unit cells."""
    elements: Literal["one_hot", "group_period"] = "one_hot"
    """Elements as one column each, or as a period and a group of the periodic table."""
    hubbard: Literal["ignored", "required", "false_if_unknown"] = "ignored"
    """Whether nodes know if Hubbard U was used, and what to do where that is not known."""
    n_centres: int = 20
    """Functions that distances are expanded on, and channels of the edges."""
    basis: Literal["gaussian", "bessel"] = "gaussian"
    """What distances are expanded on."""
    basis_stop: float = 6.0
    """Centre of the last Gaussian, or cutoff of the Bessel functions, in A."""
    basis_width: float = 0.6
    """Width of the Gaussians, in A."""
    envelope: float | None = None
    """Length at which messages have faded to nothing, in A, for graphs of all neighbours within it; null
    where they need not fade, as those of the Voronoi faces."""
    hidden_width: int | None = None
    """Channels inside the edge functions; as many as of the nodes if null."""
    share_output_weights: bool = False
    """One second map of the edge functions for all colours (section A.7)."""
    dropout: float = 0.0
    """Probability that a hidden channel of the node functions is left out while training."""
    pooling: Literal["mean", "sum"] = "mean"
    """How nodes become a crystal; the sum is for extensive targets (section 7)."""
    per_site: bool = False
    """One number for every node of the supercell (or of the quotient), none for the crystal."""


class ECN(CrystalModel):
    """A network on the supercell, equivariant to (cell group) x S_n or to more.

    ::

        x_(c,a) = L [element one-hot of a; one-hot of c]        e = L g(d)
        x      <- layer_l(x, e)                                  l = 1 ... n_layers
        y       = mlp(mean over nodes of mlp(x))

    With ``symmetry_breaking`` off the one-hot of the cell is left out, so the first linear
    map has 103 inputs instead of 111. The features of an atom's copies in all cells then
    coincide, and the network runs on the quotient graph with one node per atom: the same
    numbers at a fraction of the cost (`ecn.data.supercell`). So do those of atoms that it cannot
    tell apart, of which one is computed (`ecn.data.reduction`).

    ``group="S8n"`` is a message passing network: one plain function for edges between
    different nodes, one for edges from a node to itself.

    ``group="lattice"`` answers what the paper leaves open, one network for crystals of all
    lattices: its weights are those of P1bar, and a crystal uses their averages over the colours
    of its own Bravais type. On a crystal it is equivariant to the symmetries of that crystal's
    lattice, times S_n; it is not equivariant to larger groups, nor do crystals of different
    types share more than the averages, and it jumps where a lattice gains a symmetry.

    Parameters
    ----------
    config
        Options.

    Raises
    ------
    ValueError
        If the group is unknown.
    """

    Config = ECNConfig
    config: ECNConfig
    colours: Tensor

    def __init__(self, config: ECNConfig) -> None:
        super().__init__(config)
        n_cells = config.side**3
        self.copies = n_cells if config.symmetry_breaking else 1
        self.n_element_columns = (N_ELEMENTS if config.elements == "one_hot" else N_PERIODS + N_COLUMNS) + (
            config.hubbard != "ignored"
        )
        n_inputs = self.n_element_columns + n_cells * config.symmetry_breaking
        self.site = nn.Linear(n_inputs, config.width)
        self.basis = (
            GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
            if config.basis == "gaussian"
            else BesselBasis(config.n_centres, config.basis_stop)
        )
        self.bond = nn.Linear(config.n_centres, config.n_centres)
        patterns = cell_patterns(config.group, config.side)
        colours = edge_colours(patterns) if patterns else node_colours(config.side)
        self.register_buffer("colours", colours, persistent=False)
        self.n_cells, self.n_colours = n_cells, 1 + int(colours.max())
        self.layers = nn.ModuleList(self._layers(patterns))
        self.node_head = mlp(config.width, config.width, config.width)
        self.crystal_head = mlp(config.width, config.width, config.n_outputs)

    def _layers(self, patterns: tuple[CellPattern, ...]) -> list[nn.Module]:
        config = self.config
        if patterns:
            return [
                EquivariantLayer(
                    patterns,
                    config.width,
                    config.n_centres,
                    dropout=config.dropout,
                    hidden_width=config.hidden_width,
                    share_output_weights=config.share_output_weights,
                )
                for _ in range(config.n_layers)
            ]
        return [
            ColouredMessagePassing(
                (
                    MessageFunction(config.width, config.n_centres, config.hidden_width, own=own)
                    for own in (True, False)
                ),
                [NodeFunction(config.width, config.dropout)],
            )
            for _ in range(config.n_layers)
        ]

    def embed(self, batch: CrystalBatch) -> Tensor:
        """Embed the nodes, in the order of `ecn.data.supercell`.

        Parameters
        ----------
        batch
            B crystals with n atoms in all.

        Returns
        -------
        Tensor of shape (cells * n, width), or (n, width) without symmetry breaking.

        Raises
        ------
        UserError
            If whether Hubbard U was used is required and not known.
        """
        weight, n = self.site.weight, self.n_element_columns
        encode = element_one_hot if self.config.elements == "one_hot" else group_period_encoding
        columns = [encode(batch.atomic_numbers, weight.dtype)]
        if self.config.hubbard != "ignored":
            columns.append(self._hubbard(batch)[batch.crystal, None].to(weight.dtype))
        x = nn.functional.linear(torch.cat(columns, dim=1), weight[:, :n], self.site.bias)
        if not self.config.symmetry_breaking:
            return x
        cells = weight[:, n:].T  # what a one-hot picks: one row for each cell
        return (x[:, None] + cells).flatten(0, 1)

    def _hubbard(self, batch: CrystalBatch) -> Tensor:
        unknown = int((batch.is_hubbard < 0).sum())
        if unknown and self.config.hubbard == "required":
            raise UserError(
                f"is_hubbard is not known of {unknown} crystals, and no file of a structure states it: "
                "train on rows that have it, or with --set hubbard=false_if_unknown"
            )
        return batch.is_hubbard.clamp(min=0)

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor] | None:
        """Tell nodes apart by their elements, and bonds by their colours.

        On the supercell a node has a choice of cells that equivalent atoms do not share, so every atom has
        a label of its own, and bonds are equal only if they come from one cell.
        """
        colour = bond_colours(batch, self.colours, self.config.side)
        if not self.config.symmetry_breaking:
            return batch.atomic_numbers, colour
        nodes = torch.arange(batch.n_nodes, device=colour.device)
        return nodes, colour * self.n_cells + cell_difference(batch.edge_image, self.config.side)

    def edge_weights(self, batch: CrystalBatch) -> Tensor:
        """Let messages fade with `ECNConfig.envelope` as well; see `CrystalModel.edge_weights`."""
        weight = super().edge_weights(batch)
        if self.config.envelope is None:
            return weight
        return weight * envelope(batch.edge_length, self.config.envelope)

    def graph(self, batch: CrystalBatch, *, quotient: bool) -> ColouredGraph:
        """Make the graph of a batch, with the colours of the group; see `ecn.data.supercell.cell_graph`."""
        if batch.edge_label is None:
            colour = bond_colours(batch, self.colours, self.config.side)
        else:
            colour = batch.edge_label // (self.n_cells if self.config.symmetry_breaking else 1)
        return coloured_graph(
            batch,
            colour,
            loop_colours(batch, self.colours),
            self.n_colours,
            side=self.config.side,
            quotient=quotient,
        )

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, (B,), or for every node."""
        batch = self.labelled(batch)
        graph = self.graph(batch, quotient=not self.config.symmetry_breaking)
        return self.on_graph(self.embed(batch), graph, batch)

    def on_graph(self, x: Tensor, graph: ColouredGraph, batch: CrystalBatch) -> Tensor:
        """Everything after the embedding, on a supercell or a quotient.

        Parameters
        ----------
        x
            Nodes, shape (copies * n, width).
        graph
            Edges between them.
        batch
            The B crystals they belong to.

        Returns
        -------
        Tensor of shape (B,), or (copies * n,) with `per_site`.
        """
        e = self.bond(self.basis(graph.length))
        for layer in self.layers:
            x = layer(x, e, graph)
        return self.read_out(x, batch)

    def read_out(self, x: Tensor, batch: CrystalBatch) -> Tensor:
        """Return the heads, from nodes of shape (copies * n, width); see `on_graph`."""
        x = self.node_head(x)
        if not self.config.per_site:
            x = pool(x.unflatten(0, (batch.n_nodes, -1)).mean(1), batch, self.config.pooling)
        return self.crystal_head(x).squeeze(-1)


def cell_patterns(group: str, side: int) -> tuple[CellPattern, ...]:
    """Find the patterns behind a group's name: one, one for each Bravais type, or none for S8n.

    Parameters
    ----------
    group
        See `ECNConfig.group`.
    side
        Side of the supercell, in unit cells.

    Raises
    ------
    ValueError
        If the group is unknown.
    """
    if group == "S8n":
        return ()
    if group == "lattice":
        return tuple(cell_pattern(lattice, side) for lattice in BRAVAIS_TYPES)
    if group not in GROUPS:
        raise ValueError(closest("group", group, ("S8n", "lattice", *GROUPS)))
    return (cell_pattern(group, side),)
