"""Materials graph networks, MEGNet (Chen et al., Chem. Mater. 31, 3564, 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.nn import MetaLayer
from torch_geometric.nn.aggr import Set2Set
from torch_geometric.nn.models.schnet import ShiftedSoftplus
from torch_geometric.utils import scatter

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel
from ecn.models.features import N_ELEMENTS, GaussianBasis

#: Rounds of attention in the readout.
_READOUT_STEPS = 3


@dataclass(frozen=True)
class MEGNetConfig:
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
    n_outputs: int = 1
    """Numbers for every crystal, one for each target."""


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

    From PyTorch Geometric: `torch_geometric.nn.MetaLayer`, which calls the three updates in
    turn, and `torch_geometric.nn.aggr.Set2Set`, whose LSTM has a weight and a bias more than
    the authors' (for its own output, which its input contains as well). The state begins as
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
        x = self.site(self.embedding(batch.atomic_numbers - 1))
        e = self.bond(self.basis(batch.edge_length))
        u = self.state(self.state_bias.expand(batch.n_crystals, -1))
        bonds = torch.stack([batch.edge_source, batch.edge_target])
        for block in self.blocks:
            x, e, u = block(x, e, u, bonds, batch.crystal)
        sites = self.site_readout(x, batch.crystal, batch.n_crystals)
        edges = self.bond_readout(e, batch.crystal[batch.edge_source], batch.n_crystals)
        return self.head(torch.cat([sites, edges, u], dim=1)).squeeze(-1)


class _Block(nn.Module):
    """Dense layers of their own for atoms, bonds and state, the three updates, and the skip."""

    def __init__(self, width: int, *, dense: bool) -> None:
        super().__init__()
        self.dense = nn.ModuleList(
            _mlp(width, 2 * width, width) if dense else nn.Identity() for _ in range(3)
        )
        self.layer = MetaLayer(_BondUpdate(width), _SiteUpdate(width), _StateUpdate(width))

    def forward(
        self, x: Tensor, e: Tensor, u: Tensor, bonds: Tensor, crystal: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        site, bond, state = self.dense
        dx, de, du = self.layer(site(x), bonds, bond(e), state(u), crystal)
        return x + dx, e + de, u + du


class _BondUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(4 * width, 2 * width, 2 * width, width)

    def forward(self, source: Tensor, target: Tensor, e: Tensor, u: Tensor, crystal: Tensor) -> Tensor:
        return self.mlp(torch.cat([source, target, e, u[crystal]], dim=1))


class _SiteUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(3 * width, 2 * width, 2 * width, width)

    def forward(self, x: Tensor, bonds: Tensor, e: Tensor, u: Tensor, crystal: Tensor) -> Tensor:
        into = scatter(e, bonds[1], dim_size=len(x), reduce="mean")
        return self.mlp(torch.cat([into, x, u[crystal]], dim=1))


class _StateUpdate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = _mlp(3 * width, 2 * width, 2 * width, width)

    def forward(self, x: Tensor, bonds: Tensor, e: Tensor, u: Tensor, crystal: Tensor) -> Tensor:
        of_bonds = scatter(e, crystal[bonds[0]], dim_size=len(u), reduce="mean")
        of_sites = scatter(x, crystal, dim_size=len(u), reduce="mean")
        return self.mlp(torch.cat([of_bonds, of_sites, u], dim=1))


class _Readout(nn.Module):
    """Attention over the atoms or the bonds of every crystal, after a linear map."""

    def __init__(self, width: int, n_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, n_channels)
        self.attention = Set2Set(n_channels, _READOUT_STEPS)

    def forward(self, x: Tensor, crystal: Tensor, n_crystals: int) -> Tensor:
        return self.attention(self.linear(x), crystal, dim_size=n_crystals)


def _mlp(*sizes: int) -> nn.Sequential:
    layers = [(nn.Linear(a, b), ShiftedSoftplus()) for a, b in pairwise(sizes)]
    return nn.Sequential(*(module for layer in layers for module in layer))
