"""Crystal graph convolutional neural networks (Xie & Grossman, PRL 120, 145301, 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import BatchNorm, CGConv

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel
from ecn.models.features import N_ELEMENTS, GaussianBasis, element_one_hot
from ecn.models.layers import pool


@dataclass(frozen=True)
class CGCNNConfig:
    """Options of `CGCNN`; the defaults are those of its authors."""

    width: int = 64
    """Channels of the atoms, ``atom_fea_len``."""
    n_layers: int = 3
    """Convolutions, ``n_conv``."""
    head_width: int = 128
    """Channels of the hidden layer after pooling, ``h_fea_len``."""
    batch_norm: bool = True
    """Whether the summed messages of a convolution are normalised."""
    activation: Literal["softplus", "relu"] = "softplus"
    """After convolutions, pooling and the hidden layer."""
    n_centres: int = 41
    """Gaussians that distances are expanded on."""
    basis_stop: float = 8.0
    """Centre of the last Gaussian, in A."""
    basis_width: float = 0.2
    """Width of the Gaussians, in A."""
    n_outputs: int = 1
    """Numbers for every crystal, one for each target."""


class CGCNN(CrystalModel):
    """Gated convolutions on the graph of the primitive cell.

    With ``z_ij = [x_i; x_j; e_ij]`` for every bond from j into i (eq. 5 of the paper)::

        x_i   = L [element one-hot of i]                     e_ij = g(d_ij)
        x_i  <- act(x_i + BN(sum_j sigmoid(W_f z_ij + b_f) * softplus(W_s z_ij + b_s)))
        y     = L act(L act(mean over atoms of x))

    The convolution is `torch_geometric.nn.CGConv`; the activation after it, and the batch norm,
    are those of the authors' program, which also normalises within the gate. Statistics of
    the batch norm are those of one pass, which may be a part of a batch
    (`ecn.data.tensors.CrystalTensors.passes`); a pass of one atom takes the running ones.

    Atoms enter as one-hots of their elements where the authors have a table of 92 properties,
    and neighbours are the bonds of the release where they take the 12 nearest.

    Parameters
    ----------
    config
        Options.
    """

    Config = CGCNNConfig
    config: CGCNNConfig

    def __init__(self, config: CGCNNConfig) -> None:
        super().__init__(config)
        self.activation = {"softplus": nn.Softplus, "relu": nn.ReLU}[config.activation]()
        self.site = nn.Linear(N_ELEMENTS, config.width)
        self.basis = GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
        self.convolutions = nn.ModuleList(_convolution(config) for _ in range(config.n_layers))
        self.hidden = nn.Linear(config.width, config.head_width)
        self.output = nn.Linear(config.head_width, config.n_outputs)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, shape (B,), or several."""
        x = self.site(element_one_hot(batch.atomic_numbers, self.site.weight.dtype))
        e = self.basis(batch.edge_length)
        bonds = torch.stack([batch.edge_source, batch.edge_target])
        for convolution in self.convolutions:
            x = self.activation(convolution(x, bonds, e))
        crystals = self.activation(pool(x, batch))
        return self.output(self.activation(self.hidden(crystals))).squeeze(-1)


def _convolution(config: CGCNNConfig) -> CGConv:
    convolution = CGConv(config.width, config.n_centres)
    if config.batch_norm:  # its own refuses a pass of one atom: a single value has no variance
        convolution.bn = BatchNorm(config.width, allow_single_element=True)
    return convolution
