"""Bonds are those of pymatgen's IsayevNN, and do not depend on how a crystal is written."""

import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.local_env import IsayevNN
from pymatgen.core import Lattice, Structure

from mpclean.crystal.bonding import MissingRadiusError, TessellationError, bond_graph, radius_graph
from mpclean.crystal.bonding import graph as graph_module
from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH, MIN_AREA
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.bonding.voronoi import RESOLUTION, qhull_faces, voronoi_faces
from mpclean.crystal.crystal import Crystal


def edges(graph):
    """Edges as a multiset of (source, target, image)."""
    return Counter(
        zip(graph.source.tolist(), graph.target.tolist(), map(tuple, graph.image.tolist()), strict=True)
    )


def pymatgen_edges(structure):
    finder = IsayevNN(tol=0.5, cutoff=6)
    found = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(len(structure)):
            found.update(
                (i, neighbour["site_index"], tuple(map(int, neighbour["image"])))
                for neighbour in finder.get_nn_info(structure, i)
            )
    return found


def supercell(crystal):
    structure = crystal.to_pymatgen()
    structure.make_supercell([2, 2, 2])
    return structure


def test_areas_are_those_of_the_faces(crystal):
    """Both directions of a bond have one face; pymatgen measures it as the sum of its triangles."""
    found = bond_graph(crystal)
    assert (found.area >= MIN_AREA).all()
    area = dict(
        zip(
            zip(found.source.tolist(), found.target.tolist(), map(tuple, found.image.tolist()), strict=True),
            found.area,
            strict=True,
        )
    )
    for (source, target, image), value in area.items():
        assert area[target, source, tuple(-x for x in image)] == value
    finder = IsayevNN(tol=0.5, cutoff=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for atom in range(len(crystal)):
            for neighbour in finder.get_nn_info(crystal.to_pymatgen(), atom):
                bond = atom, neighbour["site_index"], tuple(map(int, neighbour["image"]))
                if bond in area:
                    np.testing.assert_allclose(area[bond], neighbour["poly_info"]["area"], rtol=1e-6)


def test_the_faces_of_a_cube():
    cube = Crystal(3.0 * np.eye(3), np.array([84], np.uint8), np.zeros((1, 3)))
    np.testing.assert_allclose(bond_graph(cube).area, 6 * [9.0], rtol=1e-12)


def test_bonds_are_isayevs(crystal):
    found = edges(bond_graph(crystal, min_area=0.0))
    assert found == pymatgen_edges(crystal.to_pymatgen())
    assert found


@pytest.mark.parametrize(
    ("name", "degrees"),
    [
        ("rock salt", [6, 6]),
        ("hcp", [12, 12]),
        ("diamond", [4, 4]),
        ("layers", [6, 3, 3]),
        ("chains", [2]),
        ("molecules", [1, 1]),
    ],
)
def test_coordination(crystals, name, degrees):
    graph = bond_graph(crystals[name])
    if name == "layers":  # bonds of metal and chalcogen only
        metal_chalcogen = (graph.source == 0) != (graph.target == 0)
        assert np.bincount(graph.source[metal_chalcogen], minlength=3).tolist() == degrees
    else:
        assert np.bincount(graph.source).tolist() == degrees


def test_both_directions_and_lengths(crystal):
    for graph in (bond_graph(crystal), bond_graph(crystal, min_area=0.0), radius_graph(crystal, 5.0)):
        found = edges(graph)
        assert max(found.values()) == 1
        assert {(j, i, tuple(-x for x in image)) for i, j, image in found} == set(found)
        ends = crystal.frac_coords[graph.target] + graph.image
        vectors = (ends - crystal.frac_coords[graph.source]) @ crystal.lattice
        np.testing.assert_allclose(graph.length, np.linalg.norm(vectors, axis=1), atol=1e-7)


def test_no_bond_is_longer_than_it_may(crystal):
    graph = bond_graph(crystal, min_area=0.0)
    radii = COVALENT_RADII[crystal.atomic_numbers]
    longest = np.minimum(radii[graph.source] + radii[graph.target] + BOND_TOLERANCE, MAX_BOND_LENGTH)
    assert (graph.length <= longest).all()
    assert BOND_TOLERANCE == 0.5
    assert MAX_BOND_LENGTH == 6.0


@pytest.mark.parametrize("make", [bond_graph, lambda crystal: radius_graph(crystal, 4.0)])
def test_whole_cells_change_images_only(crystal, make):
    before = make(crystal)
    moved = np.random.default_rng(0).integers(-3, 4, (len(crystal), 3))
    after = make(Crystal(crystal.lattice, crystal.atomic_numbers, crystal.frac_coords + moved))
    shifted = Counter(
        (i, j, tuple((np.array(image) + moved[i] - moved[j]).tolist())) for i, j, image in edges(before)
    )
    assert edges(after) == shifted
    np.testing.assert_allclose(np.sort(after.length), np.sort(before.length), atol=1e-9)


@pytest.mark.parametrize("make", [bond_graph, lambda crystal: radius_graph(crystal, 4.0)])
def test_supercell_has_eight_times_the_bonds(crystal, make):
    small, large = make(crystal), make(supercell(crystal))
    np.testing.assert_allclose(np.sort(large.length), np.repeat(np.sort(small.length), 8), atol=1e-6)
    degrees = np.bincount(large.source, minlength=8 * len(crystal))
    assert degrees.tolist() == np.repeat(np.bincount(small.source, minlength=len(crystal)), 8).tolist()


def test_another_basis_has_the_same_bonds(crystal, rewrite):
    again = rewrite(crystal, np.random.default_rng(2))
    np.testing.assert_allclose(
        np.sort(bond_graph(again).length), np.sort(bond_graph(crystal).length), atol=1e-9
    )


def test_faces_of_rounding_are_no_bonds():
    """In a simple cubic crystal 12 more atoms touch a cell in a line, and 8 in a point."""
    structure = Structure(Lattice.cubic(2.3), ["Po"], [[0, 0, 0]])
    structure.make_supercell([2, 2, 2])
    rng = np.random.default_rng(0)
    noise = 1e-9 * rng.uniform(-1, 1, (8, 3))
    crystal = Crystal.from_pymatgen(structure)
    crystal = Crystal(crystal.lattice, crystal.atomic_numbers, crystal.frac_coords + noise)
    faces = qhull_faces(crystal.lattice, crystal.frac_coords)
    spurious = faces.area[faces.length > 2.4]
    assert len(spurious)
    assert spurious.max() < 1e-5 < MIN_AREA
    assert len(bond_graph(crystal, min_area=0.0).source) > 6 * 8
    assert np.bincount(bond_graph(crystal).source).tolist() == [6] * 8


def test_min_area_is_a_threshold(crystals):
    crystal = crystals["triclinic"]
    faces = voronoi_faces(crystal.lattice, crystal.frac_coords)
    everything = edges(bond_graph(crystal, min_area=0.0))
    area = dict(zip(edges(faces), faces.area, strict=True))
    bonds = sorted({area[edge] for edge in everything})
    middle = bonds[len(bonds) // 2]
    for limit in (middle - 2 * RESOLUTION, middle + 2 * RESOLUTION):
        assert set(edges(bond_graph(crystal, min_area=limit))) == {e for e in everything if area[e] >= limit}


def test_qhull_decides_near_the_limit(crystals, monkeypatch):
    crystal = crystals["triclinic"]
    largest = voronoi_faces(crystal.lattice, crystal.frac_coords).area.max()  # a bond
    asked = []
    monkeypatch.setattr(graph_module, "qhull_faces", lambda *cell: asked.append(cell) or qhull_faces(*cell))
    bond_graph(crystal, min_area=largest - 2 * RESOLUTION)
    assert not asked
    for limit in (largest - 0.5 * RESOLUTION, 0.0):
        bond_graph(crystal, min_area=limit)
        assert len(asked) == 1
        asked.clear()


def test_pymatgen_structures_are_taken(crystals):
    crystal = crystals["triclinic"]
    for make in (bond_graph, lambda c: radius_graph(c, 4.0)):
        assert edges(make(crystal.to_pymatgen())) == edges(make(crystal))


def test_missing_radius():
    structure = Structure(Lattice.cubic(5), ["Bk", "O", "Es"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0]])
    with pytest.raises(MissingRadiusError, match="no covalent radius is known for Bk, Es"):
        bond_graph(structure)
    assert len(radius_graph(structure, 3.0).source)  # needs none


@pytest.mark.parametrize("cutoff", [2.0, 5.0])
def test_radius_graph_is_all_neighbours(crystal, cutoff):
    found = edges(radius_graph(crystal, cutoff))
    centre, point, image, _ = crystal.to_pymatgen().get_neighbor_list(cutoff)
    expected = Counter(
        zip(centre.tolist(), point.tolist(), map(tuple, image.astype(int).tolist()), strict=True)
    )
    assert found == expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4), cutoff=st.floats(0.5, 6.0))
def test_radius_graph_by_brute_force(seed, n, cutoff):
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(2.0, 5.0, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
    coords = rng.uniform(-1.5, 1.5, (n, 3))
    graph = radius_graph(Crystal(lattice, np.full(n, 6, dtype=np.uint8), coords), cutoff)
    axis = np.arange(-9, 10)
    cells = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    vectors = (coords[None, :, None] - coords[:, None, None] + cells) @ lattice
    distance = np.linalg.norm(vectors, axis=-1)
    near = (distance <= cutoff) & (distance > 0)
    assert len(graph.source) == near.sum()
    np.testing.assert_allclose(np.sort(graph.length), np.sort(distance[near]), atol=1e-6)


def test_radius_graph_of_a_cell_that_needs_too_many_points():
    with pytest.raises(TessellationError, match=r"points within 5\.0 A"):
        radius_graph(Crystal(np.diag([0.05, 0.05, 5.0]), np.array([6], np.uint8), np.zeros((1, 3))), 5.0)


def test_edges_are_in_a_fixed_order(crystal):
    """The order does not depend on that of the tessellation: source, target, image."""
    for graph in (bond_graph(crystal), radius_graph(crystal, 4.0)):
        listed = list(edges(graph))
        assert listed == sorted(listed)
