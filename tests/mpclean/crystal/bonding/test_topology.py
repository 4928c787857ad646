"""Dimensionality and connectivity against explicit supercells and pymatgen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.dimensionality import get_dimensionality_larsen
from pymatgen.analysis.graphs import StructureGraph

from mpclean.crystal.bonding import bond_graph, topology


def both_directions(edges):
    forth = [(i, j, *image) for i, j, image in edges]
    back = [(j, i, *(-x for x in image)) for i, j, image in edges]
    return np.array(forth + back, dtype=np.int64).reshape(-1, 5)


def one(n, edges):
    """(dimensionality, components, isolated) of one crystal."""
    table = both_directions(edges)
    found = topology(np.array([n]), table[:, 0], table[:, 1], table[:, 2:])
    return int(found.dimensionality[0]), int(found.n_components[0]), int(found.n_isolated[0])


def components_of_supercell(n, edges, m=2):
    """Components of the explicit graph on m x m x m cells, by union-find."""
    parent = list(range(n * m**3))

    def root(node):
        while parent[node] != node:
            node = parent[node]
        return node

    def node(cell, atom):
        x, y, z = (int(c) % m for c in cell)
        return ((x * m + y) * m + z) * n + atom

    for cell in np.ndindex(m, m, m):
        for i, j, image in edges:
            parent[root(node(cell, i))] = root(node(np.add(cell, image), j))
    return sum(root(k) == k for k in range(len(parent)))


def closed_translations(n, edges):
    """For each component the lattice translations that its edges close, by a walk from atom to atom."""
    offset = {}
    groups = []
    table = both_directions(edges).tolist()
    for start in range(n):
        if start in offset:
            continue
        offset[start] = np.zeros(3, dtype=int)
        walk, members = [start], {start}
        while walk:
            atom = walk.pop()
            for i, j, *image in table:
                if i == atom and j not in offset:
                    offset[j] = offset[i] + image
                    walk.append(j)
                    members.add(j)
        groups.append([offset[i] + image - offset[j] for i, j, *image in table if i in members])
    return groups


graphs = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(
                st.integers(0, n - 1), st.integers(0, n - 1), st.tuples(*[st.integers(-2, 2)] * 3)
            ).filter(lambda edge: edge[0] != edge[1] or any(edge[2])),
            max_size=9,
        ),
    )
)


@settings(max_examples=150, deadline=None)
@given(graphs)
def test_random_graphs(graph):
    n, edges = graph
    dimensionality, n_components, n_isolated = one(n, edges)
    assert n_components == components_of_supercell(n, edges)
    ranks = [np.linalg.matrix_rank(np.array(group).reshape(-1, 3)) for group in closed_translations(n, edges)]
    assert dimensionality == max(ranks)
    assert n_isolated == n - len({atom for i, j, _ in edges for atom in (i, j)})


@settings(max_examples=30, deadline=None)
@given(st.lists(graphs, min_size=1, max_size=5))
def test_batch_is_one_by_one(batch):
    n_atoms = np.array([n for n, _ in batch])
    first = np.cumsum(n_atoms) - n_atoms
    table = np.concatenate([both_directions(edges) for _, edges in batch])
    shift = np.repeat(first, [2 * len(edges) for _, edges in batch])
    found = topology(n_atoms, table[:, 0] + shift, table[:, 1] + shift, table[:, 2:])
    expected = [one(n, edges) for n, edges in batch]
    assert list(zip(found.dimensionality, found.n_components, found.n_isolated, strict=True)) == expected


@settings(max_examples=30, deadline=None)
@given(graphs, st.randoms(use_true_random=False))
def test_names_and_images_of_atoms_do_not_matter(graph, random):
    n, edges = graph
    names = random.sample(range(n), n)
    cells = [[random.randint(-3, 3) for _ in range(3)] for _ in range(n)]
    again = [
        (names[i], names[j], tuple(r + a - b for r, a, b in zip(image, cells[i], cells[j], strict=True)))
        for i, j, image in edges
    ]
    random.shuffle(again)
    assert one(n, again) == one(n, edges)


X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
NET = [X, Y, Z]


@pytest.mark.parametrize(
    ("n", "edges", "expected"),
    [
        (1, [], (0, 8, 1)),
        (3, [], (0, 24, 3)),
        (2, [(0, 1, (0, 0, 0))], (0, 8, 0)),
        (1, [(0, 0, X)], (1, 4, 0)),
        (1, [(0, 0, (1, 1, 0))], (1, 4, 0)),
        (1, [(0, 0, X), (0, 0, Y)], (2, 2, 0)),
        (1, [(0, 0, image) for image in NET], (3, 1, 0)),
        # Two nets through each other: three-dimensional, not connected.
        (2, [(atom, atom, image) for atom in (0, 1) for image in NET], (3, 2, 0)),
        # A net and an atom in its cage.
        (2, [(0, 0, image) for image in NET], (3, 9, 1)),
        # Connected in the crystal, but every loop crosses an even number of cells.
        (1, [(0, 0, (2, 0, 0)), (0, 0, (0, 2, 0)), (0, 0, (0, 0, 2))], (3, 8, 0)),
        (1, [(0, 0, (1, 1, 0)), (0, 0, (1, -1, 0)), (0, 0, Z)], (3, 2, 0)),
        (2, [(0, 1, (0, 0, 0)), (0, 1, (2, 0, 0)), (0, 1, (0, 2, 0)), (1, 0, (0, 0, 2))], (3, 8, 0)),
        # Vectors in a plane that are not parallel to the axes.
        (1, [(0, 0, (1, 2, 3)), (0, 0, (2, 4, 6)), (0, 0, (1, -1, 0))], (2, 2, 0)),
        (1, [(0, 0, (1, 2, 3)), (0, 0, (-2, -4, -6))], (1, 4, 0)),
    ],
)
def test_by_hand(n, edges, expected):
    assert one(n, edges) == expected
    assert components_of_supercell(n, edges) == expected[1]


@pytest.mark.parametrize(
    ("name", "dimensionality"),
    [("layers", 2), ("chains", 1), ("molecules", 0), ("diamond", 3), ("rock salt", 3), ("triclinic", None)],
)
def test_dimensionality_is_larsens(crystals, name, dimensionality):
    crystal = crystals[name]
    graph = bond_graph(crystal)
    found = topology(np.array([len(crystal)]), graph.source, graph.target, graph.image)
    structure = StructureGraph.from_empty_graph(crystal.to_pymatgen())
    bonds = zip(graph.source, graph.target, graph.image, strict=True)
    for source, target, image in bonds:
        structure.add_edge(int(source), int(target), to_jimage=tuple(map(int, image)), warn_duplicates=False)
    assert found.dimensionality[0] == get_dimensionality_larsen(structure)
    if dimensionality is not None:
        assert found.dimensionality[0] == dimensionality


def test_no_crystals():
    nothing = np.zeros(0, dtype=np.int64)
    found = topology(nothing, nothing, nothing, nothing.reshape(0, 3))
    assert len(found.dimensionality) == len(found.n_components) == len(found.n_isolated) == 0
