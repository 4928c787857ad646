"""Assertions for networks of one's own: what equivariance promises, put to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import SupportsFloat

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.data.rows import cell_tensors
from ecn.data.supercell import ColouredGraph
from ecn.models.base import CrystalModel
from ecn.models.ecn import ECN
from ecn.models.prototype import PrototypeECN
from ecn.symmetry.groups import Permutation
from ecn.symmetry.sharing import CellPattern
from ecn.symmetry.spacegroup import PROTOTYPES
from mpclean.crystal.bonding import radius_graph
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal

#: A layer, from nodes, bonds and a graph to nodes.
Layer = Callable[[Tensor, Tensor, ColouredGraph], Tensor]

#: The colours of edges, from their sources and their targets.
ColourOfEdge = Callable[[Tensor, Tensor], Tensor]


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
        edge_source=torch.from_numpy(np.concatenate([source, target])),
        edge_target=torch.from_numpy(np.concatenate([target, source])),
        edge_image=torch.from_numpy(np.concatenate([image, -image]).astype(np.int8)),
        edge_length=torch.from_numpy(np.tile(length, 2)).to(dtype),
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
    batch = cell_tensors(cells).batch(torch.arange(n))
    floats = {name: getattr(batch, name).to(dtype) for name in ("edge_length", "lattice", "frac_coords")}
    return batch._replace(**floats)


def example_batch(model: CrystalModel, seed: int = 0, dtype: torch.dtype = torch.float64) -> CrystalBatch:
    """Three crystals that a model accepts: perovskites for a network of that structure, else any."""
    if isinstance(model, PrototypeECN):
        return perovskite_batch(seed, dtype=dtype)
    return random_batch(seed, dtype=dtype)


def node_permutation(cells: Permutation, n_atoms: int) -> Tensor:
    """A permutation of the cells on the nodes of a supercell.

    Parameters
    ----------
    cells
        Shape (cells,).
    n_atoms
        Number of atoms n.

    Returns
    -------
    Tensor of shape (cells * n,), int64, in the order of `ecn.data.supercell`.
    """
    atoms = torch.arange(n_atoms)[:, None]
    return (len(cells) * atoms + torch.from_numpy(cells)).flatten()


def colour_under(pattern: CellPattern) -> ColourOfEdge:
    """The colour of an edge between two nodes of a supercell under (cell group) x S_n.

    Parameters
    ----------
    pattern
        Of the cell group.
    """
    matrix, n = torch.from_numpy(pattern.matrix()), pattern.n_cells
    return lambda source, target: 2 * matrix[source % n, target % n] + (source // n != target // n)


def permuted_graph(
    graph: ColouredGraph, permutation: Tensor, colour: ColourOfEdge
) -> tuple[ColouredGraph, Tensor]:
    """Let a permutation of the nodes act on a graph, and colour the image anew.

    Beyond translations and inversion the symmetries of a lattice need not map a crystal's
    graph to itself: the image is another graph, with every edge a bond of its own.

    Parameters
    ----------
    graph
        Any graph.
    permutation
        Of its nodes, shape (N,).
    colour
        The colour of an edge, from its source and its target.

    Returns
    -------
    The image of the graph, and for each of its edges the place of its bond in `graph`.
    """
    own = graph.expanded()
    place = torch.repeat_interleave(torch.arange(len(graph.length)), graph.copies)
    source, target = permutation[own.source], permutation[own.target]
    colours = colour(source, target)
    order = torch.argsort(colours)
    counts = torch.bincount(colours, minlength=len(graph.bounds) - 1)
    image = ColouredGraph(
        source=source[order],
        target=target[order],
        length=own.length[order],
        bond=own.bond[order],
        count=own.count[order],
        bounds=(0, *torch.cumsum(counts, 0).tolist()),
        copies=1,
    )
    return image, place[order]


def permute_nodes(x: Tensor, permutation: Tensor) -> Tensor:
    """Move the features of node i to node ``permutation[i]``; x has shape (N, ...)."""
    moved = torch.empty_like(x)
    moved[permutation] = x
    return moved


def assert_equivariant(
    layer: Layer,
    x: Tensor,
    e: Tensor,
    graph: ColouredGraph,
    permutation: Tensor,
    colour: ColourOfEdge,
    tolerance: float = 1e-10,
) -> None:
    """Assert ``layer(g x, e, g graph) = g layer(x, e, graph)`` for a permutation g of the nodes.

    Parameters
    ----------
    layer
        Called with nodes, bonds and a graph, it returns nodes.
    x
        Nodes, shape (N, channels).
    e
        Bonds, shape (E, channels).
    graph
        Their graph.
    permutation
        Shape (N,), an element of the group.
    colour
        The colour of an edge, from its source and its target.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If they differ.
    """
    image, bond = permuted_graph(graph, permutation, colour)
    found = layer(permute_nodes(x, permutation), e[bond], image)
    torch.testing.assert_close(found, permute_nodes(layer(x, e, graph), permutation), rtol=0, atol=tolerance)


def assert_quotient_equal(model: ECN, batch: CrystalBatch, tolerance: float = 1e-10) -> None:
    """Assert that a model without symmetry breaking says the same on supercell and quotient.

    Parameters
    ----------
    model
        With ``symmetry_breaking`` off.
    batch
        Crystals.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If they differ.
    """
    n_cells = model.config.side**3
    x = model.embed(batch).repeat_interleave(n_cells, dim=0)
    on_supercell = model.on_graph(x, model.graph(batch, quotient=False), batch)
    on_quotient = model(batch)
    if model.config.per_site:
        on_quotient = on_quotient.repeat_interleave(n_cells)
    torch.testing.assert_close(on_quotient, on_supercell, rtol=0, atol=tolerance)


def assert_batching_invariant(
    model: Callable[[CrystalBatch], Tensor], batch: CrystalBatch, tolerance: float = 1e-10
) -> None:
    """Assert that a crystal's output does not depend on the crystals beside it.

    Parameters
    ----------
    model
        From B crystals to a tensor of shape (B,).
    batch
        Crystals.
    tolerance
        Largest absolute deviation.

    Raises
    ------
    AssertionError
        If the outputs of the batch and of its crystals one by one differ.
    """
    alone = [model(crystal) for crystal in crystals_of(batch)]
    torch.testing.assert_close(torch.cat(alone), model(batch), rtol=0, atol=tolerance)


def crystals_of(batch: CrystalBatch) -> list[CrystalBatch]:
    """Every crystal of a batch as a batch of its own."""
    found = []
    for k in range(batch.n_crystals):
        atoms = batch.crystal == k
        bonds = atoms[batch.edge_source]
        first = int(atoms.nonzero()[0])
        found.append(
            CrystalBatch(
                atomic_numbers=batch.atomic_numbers[atoms],
                crystal=torch.zeros(int(atoms.sum()), dtype=torch.int64),
                edge_source=batch.edge_source[bonds] - first,
                edge_target=batch.edge_target[bonds] - first,
                edge_image=batch.edge_image[bonds],
                edge_length=batch.edge_length[bonds],
                lattice=batch.lattice[k : k + 1],
                frac_coords=batch.frac_coords[atoms],
                bravais_lattice=batch.bravais_lattice[k : k + 1],
                is_hubbard=batch.is_hubbard[k : k + 1],
                n_crystals=1,
            )
        )
    return found


def equivalent_cells(crystal: Crystal, n: int = 20, seed: int = 0) -> list[Crystal]:
    """The same crystal as others might have written it.

    Each has another basis of the lattice (a random unimodular matrix, right- or left-handed),
    another origin and another orientation; its atoms are in another order, each in a random
    image.

    Parameters
    ----------
    crystal
        Of n_a atoms, in any cell, whose lattice is kept: a primitive one stays primitive.
    n
        How many.
    seed
        Seed of everything.

    Returns
    -------
    n crystals of n_a atoms.
    """
    rng = np.random.default_rng(seed)
    return [_rewritten(crystal, rng) for _ in range(n)]


def _rewritten(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    basis = np.eye(3, dtype=np.int64) * rng.choice([-1, 1])
    for _ in range(4):
        i, j = rng.permutation(3)[:2]
        basis[i] += rng.choice([-1, 1]) * basis[j]
    order = rng.permutation(len(crystal))
    moved = (crystal.frac_coords[order] + rng.random(3)) @ np.linalg.inv(basis)
    moments = crystal.magnetic_moments
    return Crystal(
        basis @ crystal.lattice @ Rotation.random(random_state=rng).as_matrix(),
        crystal.atomic_numbers[order],
        moved + rng.integers(-2, 3, moved.shape),
        None if moments is None else moments[order],
    )


def cell_choice_spread(
    predict: Callable[[list[Crystal]], Iterable[SupportsFloat]],
    crystals: Sequence[Crystal],
    n: int = 20,
    seed: int = 0,
) -> NDArray[np.float64]:
    """How far the predictions of a model depend on how a crystal is written.

    Parameters
    ----------
    predict
        Any model: called once with crystals, it gives a number for each, in their order; the
        method of `ecn.inference.predict.Predictor` of that name is one.
    crystals
        K crystals.
    n
        Equivalent cells of each, from `equivalent_cells`.
    seed
        Seed of the first crystal's cells, the next integers of those that follow.

    Returns
    -------
    Array of shape (K,): largest minus smallest prediction, in the model's unit; NaN where a
    prediction is.

    Raises
    ------
    ValueError
        If `predict` does not give one number for each crystal.
    """
    cells = [cell for k, crystal in enumerate(crystals) for cell in equivalent_cells(crystal, n, seed + k)]
    values = np.array([float(value) for value in predict(cells)])
    if len(values) != len(cells):
        raise ValueError(f"{len(values)} predictions for {len(cells)} crystals")
    return np.ptp(values.reshape(len(crystals), n), axis=1)
