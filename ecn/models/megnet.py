"""Materials graph networks, MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch_geometric.nn.models.schnet import ShiftedSoftplus
from torch_geometric.utils import softmax

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel, ModelConfig
from ecn.models.features import N_ELEMENTS, GaussianBasis

#: Rounds of attention in the readout.
_READOUT_STEPS = 3


@dataclass(frozen=True)
class MEGNetConfig(ModelConfig):
    """Options of `MEGNet`; the defaults are those of its authors."""

    width: int = 32
    """Channels of atoms, bonds and state, ``n2``. Hidden layers have twice as many, ``n1``,
    embedded elements and the readout half, ``n3``."""
    n_layers: int = 3
    """Blocks, ``nblocks``."""
    n_centres: int = 100
    """Gaussians that distances are expanded on."""
    basis_stop: float = 5.0
    """Centre of the last Gaussian, in A."""
    basis_width: float = 0.5
    """Width of the Gaussians, in A."""


class MEGNet(CrystalModel):
    """Updates of bonds, atoms and a state of the crystal, on the graph of the primitive cell.

    In every block, for the bonds k from j into i of a crystal with the state u::

        x, e, u = dense(x), dense(e), dense(u)
        e_k'    = mlp [x_j; x_i; e_k; u]
        x_i'    = mlp [mean over bonds into i of e_k'; x_i; u]
        u'      = mlp [mean over bonds of e_k'; mean over atoms of x_i'; u]

    with skip connections around blocks (in the first, whose dense layers change the widths,
    around what follows them) and ``ln(e^t / 2 + 1 / 2)`` after every linear map of theirs. Then
    ``y = mlp [Set2Set of L x; Set2Set of L e; u]``.

    The readout is `torch_geometric.nn.aggr.Set2Set` with rows that count, whose LSTM has a weight and a
    bias more than the authors' (for its own output, which its input contains as well). The state begins as
    two zeros, there being nothing to put in: the first dense layer makes its bias of them,
    which is all that this network has of that layer. Neighbours are the bonds of the release
    where the authors take all atoms within 4 A.

    Parameters
    ----------
    config
        Options.
    """

    Config = MEGNetConfig
    config: MEGNetConfig

    def __init__(self, config: MEGNetConfig) -> None:
        super().__init__(config)
        width, half = config.width, config.width // 2
        self.embedding = nn.Embedding(N_ELEMENTS, half)
        self.basis = GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
        self.site = _mlp(half, 2 * width, width)
        self.bond = _mlp(config.n_centres, 2 * width, width)
        bound = 1.0 / math.sqrt(2)  # of the bias of a linear map of two inputs
        self.state_bias = nn.Parameter(torch.empty(2 * width).uniform_(-bound, bound))
        self.state = nn.Sequential(ShiftedSoftplus(), *_mlp(2 * width, width))
        self.blocks = nn.ModuleList(_Block(width, dense=k > 0) for k in range(config.n_layers))
        self.site_readout = _Readout(width, half)
        self.bond_readout = _Readout(width, half)
        self.head = nn.Sequential(*_mlp(4 * half + width, width, half), nn.Linear(half, config.n_outputs))

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, shape (B,), or several."""
        batch = self.labelled(batch)
        x = self.site(self.embedding(batch.atomic_numbers - 1))
        e = self.bond(self.basis(batch.edge_length))
        u = self.state(self.state_bias.expand(batch.n_crystals, -1))
        graph = _Bonds.of(batch, x.dtype)
        for block in self.blocks:
            x, e, u = block(x, e, u, graph)
        sites = self.site_readout(x, graph.site_crystal, graph.n_sites, batch.n_crystals)
        edges = self.bond_readout(e, graph.bond_crystal, graph.n_bonds, batch.n_crystals)
        return self.head(torch.cat([sites, edges, u], dim=1)).squeeze(-1)

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """Tell nodes apart by their elements, and bonds by nothing but length and ends."""
        return batch.atomic_numbers, torch.zeros_like(batch.edge_source)


class _Bonds(NamedTuple):
    """Who belongs to whom, and how many each stands for."""

    source: Tensor
    """(E,) int64, node that a bond leaves."""
    target: Tensor
    """(E,) int64, node that it enters."""
    into: Tensor
    """(E,), bonds into one atom of its target that it stands for."""
    n_bonds: Tensor
    """(E,), bonds of the crystal that it stands for."""
    n_sites: Tensor
    """(n,), atoms that a node stands for."""
    bond_crystal: Tensor
    """(E,) int64."""
    site_crystal: Tensor
    """(n,) int64."""

    @classmethod
    def of(cls, batch: CrystalBatch, dtype: torch.dtype) -> _Bonds:
        """Take them from a batch."""
        into, sizes = batch.edge_weight.to(dtype), batch.node_size.to(dtype)
        return cls(
            batch.edge_source,
            batch.edge_target,
            into,
            into * sizes[batch.edge_target],
            sizes,
            batch.crystal[batch.edge_target],
            batch.crystal,
        )


class _Block(nn.Module):
    """Dense layers of their own for atoms, bonds and state, the three updates, and the skip."""

    def __init__(self, width: int, *, dense: bool) -> None:
        super().__init__()
        self.dense = nn.ModuleList(
            _mlp(width, 2 * width, width) if dense else nn.Identity() for _ in range(3)
        )
        # Under the names that `torch_geometric.nn.MetaLayer` gives the three updates.
        self.layer = nn.ModuleDict(
            {
                "edge_model": _BondUpdate(width),
                "node_model": _SiteUpdate(width),
                "global_model": _StateUpdate(width),
            }
        )

    def forward(self, x: Tensor, e: Tensor, u: Tensor, graph: _Bonds) -> tuple[Tensor, Tensor, Tensor]:
        site, bond, state = self.dense
        dx, de, du = site(x), bond(e), state(u)
        de = self.layer["edge_model"](dx, de, du, graph)
        dx = self.layer["node_model"](dx, de, du, graph)
        du = self.layer["global_model"](dx, de, du, graph)
        return x + dx, e + de, u + du


class _BondUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(4 * width, 2 * width, 2 * width, width)

    def forward(self, x: Tensor, e: Tensor, u: Tensor, graph: _Bonds) -> Tensor:
        first = cast(nn.Linear, self.mlp[0])  # applied to atoms and states before they are gathered
        source, target, bond, state = first.weight.chunk(4, dim=1)
        v = linear(e, bond, first.bias).add_(linear(u, state)[graph.bond_crystal])
        v = v.add_(linear(x, source)[graph.source]).add_(linear(x, target)[graph.target])
        return self.mlp[1:](v)


class _SiteUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(3 * width, 2 * width, 2 * width, width)

    def forward(self, x: Tensor, e: Tensor, u: Tensor, graph: _Bonds) -> Tensor:
        into = _mean(e, graph.target, graph.into, len(x))
        return self.mlp(torch.cat([into, x, u[graph.site_crystal]], dim=1))


class _StateUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(3 * width, 2 * width, 2 * width, width)

    def forward(self, x: Tensor, e: Tensor, u: Tensor, graph: _Bonds) -> Tensor:
        of_bonds = _mean(e, graph.bond_crystal, graph.n_bonds, len(u))
        of_sites = _mean(x, graph.site_crystal, graph.n_sites, len(u))
        return self.mlp(torch.cat([of_bonds, of_sites, u], dim=1))


def _mean(x: Tensor, index: Tensor, count: Tensor, size: int) -> Tensor:
    """Take the means of rows by an index, each row counted; 0 where there is none."""
    total = x.new_zeros(size, x.shape[1]).index_add(0, index, count[:, None] * x)
    n = count.new_zeros(size).index_add(0, index, count)
    return total / torch.where(n > 0.0, n, 1.0)[:, None]


class _Readout(nn.Module):
    """Attention over the atoms or the bonds of every crystal, after a linear map."""

    def __init__(self, width: int, n_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_channels)
        self.attention = _CountedSet2Set(n_channels)

    def forward(self, x: Tensor, crystal: Tensor, count: Tensor, n_crystals: int) -> Tensor:
        return self.attention(self.linear(x), crystal, count, n_crystals)


class _CountedSet2Set(nn.Module):
    """Set2Set in which a row is attended to as often as it counts; its LSTM has PyTorch Geometric's name."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * n_channels, n_channels)

    def forward(self, x: Tensor, index: Tensor, count: Tensor, n_sets: int) -> Tensor:
        q_star, state = x.new_zeros(n_sets, 2 * x.shape[1]), None
        log_count = count.log()[:, None]
        for _ in range(_READOUT_STEPS):
            q, state = self.lstm(q_star[None], state)
            score = (x * q[0][index]).sum(1, keepdim=True) + log_count
            share = softmax(score, index, num_nodes=n_sets)
            read = x.new_zeros(n_sets, x.shape[1]).index_add(0, index, share * x)
            q_star = torch.cat([q[0], read], dim=1)
        return q_star


def _mlp(*sizes: int) -> nn.Sequential:
    layers = [(nn.Linear(a, b), ShiftedSoftplus()) for a, b in pairwise(sizes)]
    return nn.Sequential(*(module for layer in layers for module in layer))
