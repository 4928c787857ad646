"""A network for crystals that share one structure: equivariant to its space group."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn

from ecn.data.batch import CrystalBatch
from ecn.data.supercell import cell_difference, coloured_graph
from ecn.models.base import CrystalModel, ModelConfig
from ecn.models.features import N_ELEMENTS, GaussianBasis, element_one_hot
from ecn.models.layers import ColouredMessagePassing, MessageFunction, NodeFunction, mlp, pool
from ecn.symmetry.spacegroup import PROTOTYPES, site_pattern
from mpclean.errors import UserError

#: Sites of a prototype: 720 permutations of them are tried for every crystal.
MAX_SITES = 6


@dataclass(frozen=True)
class PrototypeConfig(ModelConfig):
    """Options of `PrototypeECN`; those it shares with `ecn.models.ecn.ECN` have the same defaults."""

    prototype: str = "perovskite"
    """One of `ecn.symmetry.spacegroup.PROTOTYPES`."""
    width: int = 100
    """Channels of the nodes."""
    n_layers: int = 6
    """Rounds of messages, each with weights of its own."""
    side: int = 2
    """Side of the supercell, in unit cells."""
    n_centres: int = 20
    """Gaussians that distances are expanded on, and channels of the edges."""
    basis_stop: float = 6.0
    """Centre of the last Gaussian, in A."""
    basis_width: float = 0.6
    """Width of the Gaussians, in A."""


class PrototypeECN(CrystalModel):
    """Messages coloured by the orbits of a space group (eq. 4, 8 to 10 and 15).

    Every atom is put on a site of the prototype, however distorted the crystal; its edges and
    itself then have the colours of the space group on the supercell, and every colour has functions
    of its own. Which of several equivalent sites an atom gets does not matter, since an operation
    of the group exchanges them.
    Nothing tells the cells apart, so the network runs on the quotient, one node per atom.

    Parameters
    ----------
    config
        Options.

    Raises
    ------
    ValueError
        If the prototype is unknown, or has too many sites to try all their permutations.
    """

    Config = PrototypeConfig
    config: PrototypeConfig
    site_colours: Tensor
    edge_colours: Tensor
    loop_colours: Tensor
    sites: Tensor
    permutations: Tensor

    def __init__(self, config: PrototypeConfig) -> None:
        super().__init__(config)
        pattern = site_pattern(config.prototype, config.side)
        self.register_buffer("site_colours", torch.from_numpy(pattern.site_colours), persistent=False)
        self.register_buffer("edge_colours", torch.from_numpy(pattern.edge_colours), persistent=False)
        if len(pattern.site_colours) > MAX_SITES:
            raise ValueError(f"prototype {config.prototype}: at most {MAX_SITES} sites are told apart")
        orders = torch.tensor(list(permutations(range(len(pattern.site_colours)))))
        self.register_buffer("permutations", orders, persistent=False)
        positions = torch.from_numpy(PROTOTYPES[config.prototype].frac_coords)
        self.register_buffer("sites", positions.to(torch.get_default_dtype()), persistent=False)
        first = np.unique(pattern.site_colours, return_index=True)[1]
        loops = torch.from_numpy(pattern.edge_colours[0, first, first])
        self.register_buffer("loop_colours", loops, persistent=False)
        self.n_edge_colours = 1 + int(pattern.edge_colours.max())
        self.n_site_colours = 1 + int(pattern.site_colours.max())
        self.site = nn.Linear(N_ELEMENTS, config.width)
        self.basis = GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
        self.bond = nn.Linear(config.n_centres, config.n_centres)
        self.layers = nn.ModuleList(
            ColouredMessagePassing(
                (MessageFunction(config.width, config.n_centres) for _ in range(self.n_edge_colours)),
                (NodeFunction(config.width) for _ in range(self.n_site_colours)),
            )
            for _ in range(config.n_layers)
        )
        self.node_head = mlp(config.width, config.width, config.width)
        self.crystal_head = mlp(config.width, config.width, config.n_outputs)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch, shape (B,), or several.

        Raises
        ------
        UserError
            If a crystal has another number of atoms than the prototype.
        """
        batch = self.labelled(batch)
        assert batch.node_label is not None
        assert batch.edge_label is not None
        colour = batch.node_label % self.n_site_colours
        graph = coloured_graph(
            batch,
            batch.edge_label,
            self.loop_colours[colour],
            self.n_edge_colours,
            side=self.config.side,
            quotient=True,
        )
        x = self.site(element_one_hot(batch.atomic_numbers, self.site.weight.dtype))
        e = self.bond(self.basis(graph.length))
        for layer in self.layers:
            x = layer(x, e, graph, colour)
        return self.crystal_head(pool(self.node_head(x), batch)).squeeze(-1)

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """Tell nodes apart by their elements and sites, and bonds by their colours.

        Positions say nothing more once they have put every atom on its site.
        """
        site, cell = self.assign(batch)
        image = batch.edge_image + cell[batch.edge_target] - cell[batch.edge_source]
        difference = cell_difference(image, self.config.side)
        colour = self.edge_colours[difference, site[batch.edge_target], site[batch.edge_source]]
        return batch.atomic_numbers * self.n_site_colours + self.site_colours[site], colour

    def assign(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """Find the site of every atom, and the cell of the prototype's lattice that it lies in.

        Every atom in turn is put on every site, and the others are permuted over the rest; the
        permutation with the least squares of deviations from a common shift is taken.

        Parameters
        ----------
        batch
            B crystals with n atoms in all.

        Returns
        -------
        Tensors of shape (n,) and (n, 3), int64.

        Raises
        ------
        UserError
            If a crystal has another number of atoms than the prototype.
        """
        n_sites = len(self.sites)
        sizes = torch.bincount(batch.crystal, minlength=batch.n_crystals)
        if not (sizes == n_sites).all():
            raise UserError(
                f"a crystal without the {n_sites} atoms of the prototype {self.config.prototype}; "
                "choose --model ecn for mixed structures"
            )
        x = batch.frac_coords.to(self.sites.dtype).unflatten(0, (-1, n_sites))
        shifts = (x[:, :, None] - self.sites).flatten(1, 2)  # crystal, shift
        steps = (x[:, None] - shifts[:, :, None])[:, :, :, None] - self.sites  # ..., atom, site
        residual = steps - steps.round()
        # Squares of deviations from their mean: the sum of squares minus the square of the sum over n.
        atoms = torch.arange(n_sites, device=x.device)
        moved = residual[:, :, atoms, self.permutations]  # crystal, shift, permutation, atom
        total = moved.square().sum((-1, -2)) - moved.sum(-2).square().sum(-1) / n_sites
        best = total.flatten(1).argmin(1)
        shift, permutation = best // len(self.permutations), best % len(self.permutations)
        site = self.permutations[permutation]
        crystals = torch.arange(batch.n_crystals, device=x.device)[:, None]
        cell = steps[crystals, shift[:, None], atoms, site].round().long()
        return site.flatten(), cell.flatten(0, 1)
