"""Crystal graph convolutional neural networks (Xie & Grossman, PRL 120, 145301, 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel, ModelConfig
from ecn.models.features import N_ELEMENTS, GaussianBasis, element_one_hot
from ecn.models.layers import pool

#: Share of a pass in the running statistics of a batch norm, that of torch.
_MOMENTUM = 0.1


@dataclass(frozen=True)
class CGCNNConfig(ModelConfig):
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


class CGCNN(CrystalModel):
    """Gated convolutions on the graph of the primitive cell.

    With ``z_ij = [x_i; x_j; e_ij]`` for every bond from j into i (eq. 5 of the paper)::

        x_i   = L [element one-hot of i]                     e_ij = g(d_ij)
        x_i  <- act(x_i + BN(sum_j sigmoid(W_f z_ij + b_f) * softplus(W_s z_ij + b_s)))
        y     = L act(L act(mean over atoms of x))

    The convolution is `torch_geometric.nn.CGConv`; the activation after it, and the batch norm,
    are those of the authors' program, which also normalises within the gate. Statistics of
    the batch norm are those of one pass, which may be a part of a batch

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
        self.convolutions = nn.ModuleList(GatedConvolution(config) for _ in range(config.n_layers))
        self.hidden = nn.Linear(config.width, config.head_width)
        self.output = nn.Linear(config.head_width, config.n_outputs)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, shape (B,), or several."""
        batch = self.labelled(batch)
        x = self.site(element_one_hot(batch.atomic_numbers, self.site.weight.dtype))
        e = self.basis(batch.edge_length)
        for convolution in self.convolutions:
            x = self.activation(convolution(x, e, batch))
        crystals = self.activation(pool(x, batch))
        return self.output(self.activation(self.hidden(crystals))).squeeze(-1)

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """Tell nodes apart by their elements, and bonds by nothing but length and ends."""
        return batch.atomic_numbers, torch.zeros_like(batch.edge_source)


class GatedConvolution(nn.Module):
    """One convolution (eq. 5), up to the activation after it.

    Parameters
    ----------
    config
        Options of the network.
    """

    def __init__(self, config: CGCNNConfig) -> None:
        super().__init__()
        self.sizes = (config.width, config.width, config.n_centres)
        self.lin_f = nn.Linear(sum(self.sizes), config.width)
        self.lin_s = nn.Linear(sum(self.sizes), config.width)
        self.bn = AtomNorm(config.width) if config.batch_norm else None

    def forward(self, x: Tensor, e: Tensor, batch: CrystalBatch) -> Tensor:
        """Update nodes of shape (n, width) along bonds of shape (E, n_centres)."""
        weight = torch.cat([self.lin_f.weight, self.lin_s.weight])
        into, out_of, along = weight.split(self.sizes, dim=1)
        bias = torch.cat([self.lin_f.bias, self.lin_s.bias])
        v = linear(x, into, bias).index_select(0, batch.edge_target)
        v = v.add_(linear(x, out_of).index_select(0, batch.edge_source)).add_(linear(e, along))
        gate, core = v.chunk(2, dim=1)
        message = batch.edge_weight[:, None].to(x.dtype) * torch.sigmoid(gate) * softplus(core)
        total = torch.zeros_like(x).index_add(0, batch.edge_target, message)
        return x + (total if self.bn is None else self.bn(total, batch.node_size))


class AtomNorm(nn.Module):
    """Batch norm over the atoms of a pass, where a node counts for all atoms that it stands for.

    Parameters
    ----------
    width
        Number of channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.module = nn.BatchNorm1d(width, momentum=_MOMENTUM)

    def forward(self, x: Tensor, size: Tensor) -> Tensor:
        """Normalise nodes of shape (n, width), which stand for (n,) atoms each."""
        norm, n = self.module, int(size.sum())
        if not self.training or n == 1:  # a single value has no variance
            return nn.functional.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        share = (size / n)[:, None].to(x.dtype)
        mean = (share * x).sum(0)
        variance = (share * (x - mean).square()).sum(0)
        with torch.no_grad():
            for running, now in (("running_mean", mean), ("running_var", variance * n / (n - 1))):
                buffer = norm.get_buffer(running)  # in single precision, also where `now` is in half
                buffer.lerp_(now.to(buffer.dtype), _MOMENTUM)
            norm.get_buffer("num_batches_tracked").add_(1)
        return (x - mean) * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias
