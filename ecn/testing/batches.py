"""Batches of made-up crystals."""

from __future__ import annotations

import numpy as np
import torch

from ecn.data.batch import CrystalBatch
from ecn.data.tensors import cell_tensors
from ecn.symmetry.spacegroup import PROTOTYPES
from mpclean.crystal.bonding import radius_graph
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal


def random_batch(
    seed: int = 0, sizes: tuple[int, ...] = (3, 1, 4), dtype: torch.dtype = torch.float64
) -> CrystalBatch:
    """Crystals with random bonds: parallel ones, and some between images of one atom.

    Parameters
    ----------
    seed
        Seed of everything.
    sizes
        Atoms of every crystal.
    dtype
        Of the lengths.
    """
    rng = np.random.default_rng(seed)
    crystal = np.repeat(np.arange(len(sizes)), sizes)
    first = np.cumsum([0, *sizes[:-1]])
    of_bond = np.repeat(crystal, 4)
    source, target = (first[of_bond] + rng.integers(np.array(sizes)[of_bond]) for _ in range(2))
    image = rng.integers(-2, 3, size=(len(of_bond), 3))
    image[(source == target) & ~image.any(axis=1)] = (1, 0, 0)
    length = rng.uniform(1.5, 4.0, size=len(of_bond))
    return CrystalBatch(
        atomic_numbers=torch.from_numpy(rng.integers(1, 104, size=len(crystal))),
        crystal=torch.from_numpy(crystal),
        node_size=torch.ones(len(crystal), dtype=torch.int64),
        atom_node=torch.arange(len(crystal)),
        edge_source=torch.from_numpy(np.concatenate([source, target])),
        edge_target=torch.from_numpy(np.concatenate([target, source])),
        edge_image=torch.from_numpy(np.concatenate([image, -image]).astype(np.int8)),
        edge_length=torch.from_numpy(np.tile(length, 2)).to(dtype),
        edge_area=torch.from_numpy(np.tile(rng.uniform(0.0, 3.0, size=len(length)), 2)).to(dtype),
        edge_weight=torch.ones(2 * len(length), dtype=dtype),
        lattice=torch.from_numpy(rng.normal(0.0, 4.0, size=(len(sizes), 3, 3))).to(dtype),
        frac_coords=torch.from_numpy(rng.uniform(size=(len(crystal), 3))).to(dtype),
        bravais_lattice=torch.from_numpy(rng.integers(len(BRAVAIS_TYPES), size=len(sizes))),
        is_hubbard=torch.from_numpy(rng.integers(2, size=len(sizes)).astype(np.int8)),
        n_crystals=len(sizes),
    )


def perovskite_batch(seed: int = 0, n: int = 3, dtype: torch.dtype = torch.float64) -> CrystalBatch:
    """Cubic perovskites with random elements and sizes, and edges of up to twice their side.

    Parameters
    ----------
    seed
        Seed of everything.
    n
        Number of crystals.
    dtype
        Of lengths and coordinates.
    """
    rng = np.random.default_rng(seed)
    cells = []
    for _ in range(n):
        a, b, x = rng.integers(1, 104, size=3)
        side = rng.uniform(3.8, 4.4)
        elements = np.array([a, b, x, x, x], np.uint8)
        crystal = Crystal(side * np.eye(3), elements, PROTOTYPES["perovskite"].frac_coords)
        cells.append((PrimitiveCell(crystal, "cP"), radius_graph(crystal, cutoff=2.0 * side)))
    return cell_tensors(cells).batch(torch.arange(n)).to(dtype=dtype)


def crystals_of(batch: CrystalBatch) -> list[CrystalBatch]:
    """Take a batch apart into batches of one crystal."""
    found = []
    for k in range(batch.n_crystals):
        nodes, atoms = batch.crystal == k, batch.crystal[batch.atom_node] == k
        bonds = nodes[batch.edge_source]
        first = int(nodes.nonzero()[0])
        of_nodes = ("atomic_numbers", "node_size", "frac_coords")
        of_bonds = ("edge_image", "edge_length", "edge_area", "edge_weight")
        found.append(
            batch._replace(
                **{name: getattr(batch, name)[nodes] for name in of_nodes},
                **{name: getattr(batch, name)[bonds] for name in of_bonds},
                **{
                    name: getattr(batch, name)[k : k + 1]
                    for name in ("lattice", "bravais_lattice", "is_hubbard")
                },
                crystal=torch.zeros(int(nodes.sum()), dtype=torch.int64),
                atom_node=batch.atom_node[atoms] - first,
                edge_source=batch.edge_source[bonds] - first,
                edge_target=batch.edge_target[bonds] - first,
                n_crystals=1,
            )
        )
    return found
