"""A network for crystals that share one structure: equivariant to its space group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecn.batch import CrystalBatch
from ecn.errors import UserError
from ecn.features import N_ELEMENTS, GaussianBasis, element_one_hot
from ecn.models.base import CrystalModel
from ecn.nn import ColouredMessagePassing, NodeFunction, message_function, mlp, pool
from ecn.spacegroup import PROTOTYPES, site_pattern
from ecn.supercell import cell_difference, coloured_graph, with_self_loops

#: How far an atom may lie from its site, in fractional coordinates, on any axis.
TOLERANCE = 0.1


@dataclass(frozen=True)
class PrototypeConfig:
    """Options of `PrototypeECN`; those it shares with `ecn.models.ecn.ECN` have the same defaults."""

    prototype: str = "perovskite"
    """One of `ecn.spacegroup.PROTOTYPES`."""
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

    Every atom is put on a site of the prototype; its edges and itself then have the colours of
    the space group on the supercell, and every colour has functions of its own. Which of several
    equivalent sites an atom gets does not matter, since an operation of the group exchanges them.
    Nothing tells the cells apart, so the network runs on the quotient, one node per atom.

    Parameters
    ----------
    config
        Options.

    Raises
    ------
    ValueError
        If the prototype is unknown.
    """

    Config = PrototypeConfig
    config: PrototypeConfig
    site_colours: Tensor
    edge_colours: Tensor
    sites: Tensor

    def __init__(self, config: PrototypeConfig) -> None:
        super().__init__(config)
        pattern = site_pattern(config.prototype, config.side)
        self.register_buffer("site_colours", torch.from_numpy(pattern.site_colours), persistent=False)
        self.register_buffer("edge_colours", torch.from_numpy(pattern.edge_colours), persistent=False)
        positions = torch.from_numpy(PROTOTYPES[config.prototype].frac_coords)
        self.register_buffer("sites", positions.to(torch.get_default_dtype()), persistent=False)
        self.n_edge_colours = 1 + int(pattern.edge_colours.max())
        self.n_site_colours = 1 + int(pattern.site_colours.max())
        self.site = nn.Linear(N_ELEMENTS, config.width)
        self.basis = GaussianBasis(config.n_centres, config.basis_stop, config.basis_width)
        self.bond = nn.Linear(config.n_centres, config.n_centres)
        self.layers = nn.ModuleList(
            ColouredMessagePassing(
                (message_function(config.width, config.n_centres) for _ in range(self.n_edge_colours)),
                (NodeFunction(config.width) for _ in range(self.n_site_colours)),
            )
            for _ in range(config.n_layers)
        )
        self.node_head = mlp(config.width, config.width, config.width)
        self.crystal_head = mlp(config.width, config.width, 1)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict one number for every crystal of a batch: shape (B,).

        Raises
        ------
        UserError
            If a crystal does not have the structure of the prototype.
        """
        site, cell = self.assign(batch)
        edges = with_self_loops(batch)
        edges = edges._replace(image=edges.image + cell[edges.target] - cell[edges.source])
        difference = cell_difference(edges.image, self.config.side)
        colour = self.edge_colours[difference, site[edges.target], site[edges.source]]
        graph = coloured_graph(edges, colour, self.n_edge_colours, side=self.config.side, quotient=True)
        x = self.site(element_one_hot(batch.atomic_numbers, self.site.weight.dtype))
        e = self.bond(self.basis(graph.length))
        for layer in self.layers:
            x = layer(x, e, graph, self.site_colours[site])
        return self.crystal_head(pool(self.node_head(x), batch)).squeeze(-1)

    def assign(self, batch: CrystalBatch) -> tuple[Tensor, Tensor]:
        """The site of every atom, and the cell of the prototype's lattice that it lies in.

        Every atom in turn is tried on the first site; of the shifts that give every site one
        atom, the one with the smallest deviation is taken.

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
            If a crystal has another number of atoms, or some atom farther than `TOLERANCE`
            from every free site.
        """
        n_sites = len(self.sites)
        sizes = torch.bincount(batch.crystal, minlength=batch.n_crystals)
        if not (sizes == n_sites).all():
            raise UserError(f"a crystal without the {n_sites} atoms of the prototype {self.config.prototype}")
        x = batch.frac_coords.to(self.sites.dtype).unflatten(0, (-1, n_sites))  # crystal, atom
        moved = x[:, None, :] - (x - self.sites[0])[:, :, None]  # crystal, shift, atom
        steps = moved[:, :, :, None] - self.sites  # crystal, shift, atom, site
        deviation, site = (steps - steps.round()).abs().amax(-1).min(-1)
        complete = (site.sort(-1).values == torch.arange(n_sites, device=site.device)).all(-1)
        worst, shift = deviation.amax(-1).masked_fill(~complete, torch.inf).min(-1)
        if not (worst <= TOLERANCE).all():
            raise UserError(
                f"{int((worst > TOLERANCE).sum())} crystals of a batch do not have the structure of the "
                f"prototype {self.config.prototype}; choose --model ecn for mixed structures"
            )
        crystals = torch.arange(batch.n_crystals, device=shift.device)
        site = site[crystals, shift]
        offset = moved[crystals, shift] - self.sites[site]
        return site.flatten(), offset.round().long().flatten(0, 1)
