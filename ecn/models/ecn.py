"""Equivariant crystal networks (Kaba & Ravanbakhsh, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecn.batch import CrystalBatch
from ecn.features import N_ELEMENTS, GaussianBasis, element_one_hot
from ecn.models.base import CrystalModel
from ecn.nn import EquivariantLayer
from ecn.sharing import cell_pattern
from ecn.supercell import N_CELLS, CellGraph, cell_graph


@dataclass(frozen=True)
class ECNConfig:
    """Options of `ECN`; the defaults are the published ones."""

    group: str = "S8"
    """Group of the cells, one of `ecn.groups.GROUPS`; atoms always have S_n."""
    width: int = 100
    """Channels of the nodes."""
    n_layers: int = 6
    """Rounds of messages, each with weights of its own."""
    symmetry_breaking: bool = True
    """Whether nodes know their cells (sections 4 and 5 of the paper)."""
    n_centres: int = 20
    """Gaussians that distances are expanded on, and channels of the edges."""
    basis_stop: float = 6.0
    """Centre of the last Gaussian, in A."""
    basis_width: float = 0.6
    """Width of the Gaussians, in A."""


class ECN(CrystalModel):
    """A network on the 2x2x2 supercell, equivariant to (cell group) x S_n.

    ::

        x_(c,a) = L [element one-hot of a; one-hot of c]        e = L g(d)
        x      <- layer_l(x, e)                                  l = 1 ... n_layers
        y       = mlp(mean over nodes of mlp(x))

    With ``symmetry_breaking`` off the one-hot of the cell is left out, so the first linear
    map has 103 inputs instead of 111. The features of the eight cells of an atom then
    coincide, and the network runs on the quotient graph with one node per atom: the same
    numbers at an eighth of the cost (`ecn.supercell`).

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

    def __init__(self, config: ECNConfig) -> None:
        super().__init__(config)
        self.pattern = cell_pattern(config.group)
        self.copies = N_CELLS if config.symmetry_breaking else 1
        n_inputs = N_ELEMENTS + N_CELLS * config.symmetry_breaking
        self.site = nn.Linear(n_inputs, config.width)
        self.basis = GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
        self.bond = nn.Linear(config.n_centres, config.n_centres)
        self.layers = nn.ModuleList(
            EquivariantLayer(self.pattern, config.width, config.n_centres) for _ in range(config.n_layers)
        )
        self.node_head = _mlp(config.width, config.width)
        self.crystal_head = _mlp(config.width, 1)

    def embed(self, batch: CrystalBatch) -> Tensor:
        """Embed the nodes, in the order of `ecn.supercell`.

        Parameters
        ----------
        batch
            B crystals with n atoms in all.

        Returns
        -------
        Tensor of shape (8 n, width), or (n, width) without symmetry breaking.
        """
        weight = self.site.weight
        elements = element_one_hot(batch.atomic_numbers, weight.dtype)
        x = nn.functional.linear(elements, weight[:, :N_ELEMENTS], self.site.bias)
        if not self.config.symmetry_breaking:
            return x
        cells = weight[:, N_ELEMENTS:].T  # what a one-hot picks: one row for each cell
        return (x[:, None] + cells).flatten(0, 1)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch: shape (B,)."""
        graph = cell_graph(batch, self.pattern, quotient=self.copies == 1)
        return self.on_graph(self.embed(batch), graph, batch)

    def on_graph(self, x: Tensor, graph: CellGraph, batch: CrystalBatch) -> Tensor:
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
        Tensor of shape (B,).
        """
        e = self.bond(self.basis(graph.length))
        for layer in self.layers:
            x = layer(x, e, graph)
        x = self.node_head(x).unflatten(0, (batch.n_atoms, -1)).mean(1)  # over the cells
        return self.crystal_head(mean_pool(x, batch)).squeeze(-1)


def mean_pool(x: Tensor, batch: CrystalBatch) -> Tensor:
    """Mean over the atoms of every crystal: shape (n, width) to (B, width)."""
    total = x.new_zeros(batch.n_crystals, x.shape[1]).index_add(0, batch.crystal, x)
    counts = torch.bincount(batch.crystal, minlength=batch.n_crystals)
    return total / counts[:, None]


def _mlp(width: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, n_outputs))
