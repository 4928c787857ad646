"""SchNet (Schütt et al., NIPS 2017 and J. Chem. Phys. 148, 241722, 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.models.schnet import InteractionBlock, ShiftedSoftplus

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel, ModelConfig
from ecn.models.features import N_ELEMENTS, GaussianBasis
from ecn.models.layers import pool


@dataclass(frozen=True)
class SchNetConfig(ModelConfig):
    """Options of `SchNet`; the defaults are those of its authors, up to the cutoff."""

    width: int = 64
    """Channels of the atoms and of the filters, F."""
    n_layers: int = 6
    """Interaction blocks, T."""
    cutoff: float = 6.0
    """Length at which a bond no longer counts, and centre of the last Gaussian, in A."""
    n_centres: int = 61
    """Gaussians that distances are expanded on: one every 0.1 A."""
    basis_width: float = 10**-0.5
    """Width of the Gaussians, ``gamma^(-1/2)`` with gamma = 10 / A^2, in A."""


class SchNet(CrystalModel):
    """Continuous-filter convolutions on the graph of the primitive cell.

    With ``ssp(t) = ln(e^t / 2 + 1 / 2)``, for the bonds from j into i::

        x_i  = embedding of the element of i                 e_ij = g(d_ij)
        W_ij = c(d_ij) * L ssp(L e_ij)                       c(d) = (1 + cos(pi d / cutoff)) / 2
        x_i <- x_i + L ssp(L sum_j W_ij * L x_j)
        y    = mean over atoms of L ssp(L x_i)

    The interaction block has the weights of that of `torch_geometric.nn.models.SchNet`, with the filters of
    the authors' program: smoothly cut off, and without a nonlinearity at their end. Atoms
    interact along the bonds of the release where the authors take all pairs within the cutoff.

    Parameters
    ----------
    config
        Options.
    """

    Config = SchNetConfig
    config: SchNetConfig

    def __init__(self, config: SchNetConfig) -> None:
        super().__init__(config)
        width = config.width
        self.embedding = nn.Embedding(N_ELEMENTS, width)
        self.basis = GaussianBasis(config.n_centres, config.cutoff, config.basis_width)
        self.interactions = nn.ModuleList(_interaction(config) for _ in range(config.n_layers))
        self.head = nn.Sequential(
            nn.Linear(width, width // 2), ShiftedSoftplus(), nn.Linear(width // 2, config.n_outputs)
        )

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, shape (B,), or several."""
        batch = self.labelled(batch)
        x = self.embedding(batch.atomic_numbers - 1)
        # The cosine would rise again beyond the cutoff.
        length = batch.edge_length.to(x.dtype).clamp(max=self.config.cutoff)
        e = self.basis(length)
        passed = (
            0.5 * batch.edge_weight.to(x.dtype) * (1.0 + torch.cos(torch.pi / self.config.cutoff * length))
        )
        for block in cast(Iterable[InteractionBlock], self.interactions):
            filters = passed[:, None] * block.conv.nn(e)
            message = filters * block.conv.lin1(x).index_select(0, batch.edge_source)
            total = message.new_zeros(len(x), message.shape[1]).index_add(0, batch.edge_target, message)
            x = x + block.lin(block.act(block.conv.lin2(total)))
        return pool(self.head(x), batch).squeeze(-1)

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """Tell nodes apart by their elements, and bonds by nothing but length and ends."""
        return batch.atomic_numbers, torch.zeros_like(batch.edge_source)


def _interaction(config: SchNetConfig) -> InteractionBlock:
    block = InteractionBlock(config.width, config.n_centres, config.width, config.cutoff)
    del block.mlp  # the same as conv.nn, and a checkpoint holds no weight twice
    return block
