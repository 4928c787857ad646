"""The tessellation fills space exactly, whatever the cell."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpclean.crystal.bonding import TessellationError, clipping, voronoi
from mpclean.crystal.bonding.voronoi import RESOLUTION, WRAP, images_within, qhull_faces, voronoi_faces, wrap


@pytest.fixture(params=[voronoi_faces, qhull_faces], ids=["cut", "qhull"])
def tessellate(request):
    return request.param


@pytest.fixture
def no_qhull(monkeypatch):
    """What `voronoi_faces` finds is not Qhull's."""

    def qhull_faces(*cell):
        raise AssertionError("Qhull was asked")

    monkeypatch.setattr(voronoi, "qhull_faces", qhull_faces)


def directed(faces):
    """Faces as a dictionary from (source, target, image) to (length, area)."""
    keys = zip(faces.source.tolist(), faces.target.tolist(), map(tuple, faces.image.tolist()), strict=True)
    table = dict(zip(keys, zip(faces.length, faces.area, strict=True), strict=True))
    assert len(table) == len(faces.source)  # none is listed twice
    return table


def filled(faces):
    """Volume of the pyramids over all faces: each has the height of half of the distance."""
    return (faces.area * faces.length).sum() / 6


def random_crystal(seed, n, flatness):
    rng = np.random.default_rng(seed)
    lattice = 4.0 * n ** (1 / 3) * (np.diag([1.0, 1.0, flatness]) + rng.uniform(-0.4, 0.4, (3, 3)))
    coords = rng.uniform(-2.0, 2.0, (n, 3))
    return lattice, coords


def test_cube_by_hand(tessellate):
    faces = tessellate(3.0 * np.eye(3), np.zeros((1, 3)))
    large = faces.area > 1e-6
    assert sorted(map(tuple, faces.image[large].tolist())) == sorted(
        [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    )
    np.testing.assert_allclose(faces.area[large], 9.0)
    np.testing.assert_allclose(faces.length[large], 3.0)


def test_body_centred_cubic_by_hand(tessellate):
    """A truncated octahedron: eight hexagons, six squares."""
    a = 2.0
    faces = tessellate(a / 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), np.zeros((1, 3)))
    edge = a / (2 * np.sqrt(2))
    assert len(faces.area) == 14
    hexagons = np.isclose(faces.length, a * np.sqrt(3) / 2)
    assert hexagons.sum() == 8
    np.testing.assert_allclose(faces.area[hexagons], 3 * np.sqrt(3) / 2 * edge**2)
    np.testing.assert_allclose(faces.area[~hexagons], edge**2)
    np.testing.assert_allclose(faces.length[~hexagons], a)


def test_faces_fill_the_cell(crystal, tessellate, no_qhull):
    faces = tessellate(crystal.lattice, crystal.frac_coords)
    assert filled(faces) == pytest.approx(crystal.volume, rel=1e-9)


@pytest.mark.parametrize("tessellate", [voronoi_faces, qhull_faces], ids=["cut", "qhull"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 7), flatness=st.sampled_from([0.5, 1.0, 3.0]))
def test_random_crystals(tessellate, seed, n, flatness):
    lattice, coords = random_crystal(seed, n, flatness)
    volume = abs(np.linalg.det(lattice))
    assume(volume > 10.0 * n)
    difference = coords[:, None] - coords[None]
    distance = np.linalg.norm((difference - np.rint(difference)) @ lattice, axis=-1)
    assume((distance + 10 * np.eye(n) > 0.3).all())
    faces = tessellate(lattice, coords)
    assert filled(faces) == pytest.approx(volume, rel=1e-6)
    table = directed(faces)
    for (i, j, image), (length, area) in table.items():
        assert table[j, i, tuple(-x for x in image)] == pytest.approx((length, area))
        vector = (coords[j] + image - coords[i]) @ lattice
        assert length == pytest.approx(np.linalg.norm(vector))
    # Atoms written in other cells: the same faces, images changed by as much.
    moved = np.random.default_rng(seed).integers(-2, 3, (n, 3))
    again = directed(tessellate(lattice, coords + moved))
    shifted = {
        (i, j, tuple((np.array(image) + moved[i] - moved[j]).tolist())): value
        for (i, j, image), value in table.items()
    }
    assert again.keys() == shifted.keys()
    for key, value in again.items():
        assert value == pytest.approx(shifted[key], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12), flatness=st.sampled_from([0.3, 1.0, 4.0]))
def test_both_ways_find_the_same_faces(seed, n, flatness):
    lattice, coords = random_crystal(seed, n, flatness)
    assume(abs(np.linalg.det(lattice)) > 10.0 * n)
    cut, hull = directed(voronoi_faces(lattice, coords)), directed(qhull_faces(lattice, coords))
    large = {key for key, (_, area) in hull.items() if area > 2 * RESOLUTION}
    assert large <= cut.keys() <= hull.keys()
    for key, value in cut.items():
        assert value == pytest.approx(hull[key], abs=1e-7)


@pytest.mark.parametrize("state", [clipping.NO_ROOM, clipping.WHOLE], ids=["no cells", "a cell too large"])
def test_cells_that_are_not_proven_are_left_to_qhull(crystal, monkeypatch, state):
    cells = clipping.cells

    def doubtful(*arguments):
        _, reach, neighbours, area, volume = cells(*arguments)
        return state, reach, neighbours, area, (1.0 + 1e-8) * volume

    monkeypatch.setattr(clipping, "cells", doubtful)
    hull = directed(qhull_faces(crystal.lattice, crystal.frac_coords))
    assert directed(voronoi_faces(crystal.lattice, crystal.frac_coords)) == {
        key: value for key, value in hull.items() if value[1] >= RESOLUTION
    }


def test_a_face_that_one_side_lacks_is_left_to_qhull(crystal, monkeypatch):
    cells = clipping.cells

    def one_sided(*arguments):
        state, reach, neighbours, area, volume = cells(*arguments)
        return state, reach, neighbours[1:], area[1:], volume

    expected = directed(voronoi_faces(crystal.lattice, crystal.frac_coords))
    monkeypatch.setattr(clipping, "cells", one_sided)
    found = directed(voronoi_faces(crystal.lattice, crystal.frac_coords))
    assert found.keys() == expected.keys()


def test_a_long_cell_with_rounding_in_its_zeros(tessellate):
    """Rounding turns bisectors that are parallel into ones that meet thousands of A away."""
    lattice = np.diag([3.299918, 4.600926, 35.235589])
    lattice[1, 0], lattice[2, :2] = 2.8e-16, [2.2e-15, 2.2e-15]
    height = np.array([0.02, 0.1, 0.18, 0.26, 0.34])
    coords = np.stack([0.5 * (np.arange(5) % 2), 0.25 * np.arange(5), height], axis=1)
    faces = tessellate(lattice, coords)
    assert filled(faces) == pytest.approx(abs(np.linalg.det(lattice)), rel=1e-6)


def test_the_first_cloud_does_not_matter(crystal, tessellate, monkeypatch):
    """The cloud grows until it holds every neighbour, however small it begins."""
    expected = directed(tessellate(crystal.lattice, crystal.frac_coords))
    for reach in (1.0, 6.0):
        monkeypatch.setattr(voronoi, "FIRST_REACH", reach)
        found = directed(tessellate(crystal.lattice, crystal.frac_coords))
        large = {key: value for key, value in found.items() if value[1] > 1e-6}
        assert large.keys() == {key for key, value in expected.items() if value[1] > 1e-6}
        for key, value in large.items():
            assert value == pytest.approx(expected[key])


def test_wrap():
    coords = np.array([[0.25, -0.25, 3.5], [1 - 1e-12, -1e-12, 1.0]])
    inside, cells = wrap(coords)
    np.testing.assert_array_equal(cells, [[0, -1, 3], [1, 0, 1]])
    np.testing.assert_allclose(inside + cells, coords, atol=1e-15)
    assert (inside >= -WRAP).all()
    assert (inside < 1 - WRAP).all()


@pytest.mark.parametrize("reach", [0.5, 3.0, 7.0])
def test_images_within_by_brute_force(crystal, reach):
    inside, _ = wrap(crystal.frac_coords)
    atom, image, distance = images_within(crystal.lattice, inside, reach)
    n = len(inside)
    np.testing.assert_array_equal(atom[:n], np.arange(n))
    assert not image[:n].any()
    points = (inside[atom] + image) @ crystal.lattice
    brute = np.linalg.norm(points[:, None] - (inside @ crystal.lattice)[None], axis=-1)
    np.testing.assert_allclose(distance, brute, atol=1e-6)
    axis = np.arange(-5, 6)
    cells = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    everything = (cells[:, None] + inside).reshape(-1, 3) @ crystal.lattice
    nearest = np.linalg.norm(everything[:, None] - (inside @ crystal.lattice)[None], axis=-1).min(axis=1)
    others = {(int(j), *map(int, r)) for j, r in zip(atom, image, strict=True)}
    assert len(others) == len(atom)
    assert len(atom) == (nearest <= reach).sum()


@pytest.mark.parametrize(
    "coords",
    [[[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], [[0.1, 0.2, 0.3], [1.1, 0.2, -0.7], [0.5, 0.5, 0.5]]],
    ids=["in one cell", "in different images"],
)
def test_coincident_atoms(coords, tessellate):
    with pytest.raises(TessellationError):
        tessellate(4.0 * np.eye(3), np.array(coords))


def test_a_cell_that_is_too_flat(tessellate):
    with pytest.raises(TessellationError):
        tessellate(np.diag([1.0, 1.0, 1000.0]), np.zeros((1, 3)))


def test_coordinates_that_are_no_numbers():
    with np.errstate(invalid="ignore"), pytest.raises(TessellationError):
        voronoi_faces(4.0 * np.eye(3), np.array([[np.nan, 0.0, 0.0], [0.5, 0.5, 0.5]]))


def test_work_is_bounded_by_points(crystal, tessellate, monkeypatch):
    monkeypatch.setattr(voronoi, "MAX_POINTS", 20)
    with pytest.raises(TessellationError, match="more than 20 points"):
        tessellate(crystal.lattice, crystal.frac_coords)


@pytest.mark.parametrize("long", [300.0, 2400.0])
def test_qhull_is_not_asked_for_what_cannot_suffice(monkeypatch, long):
    """Clouds of long thin cells take it minutes, and end without faces."""
    asked = []
    monkeypatch.setattr(voronoi, "Voronoi", lambda points: asked.append(len(points)))
    with pytest.raises(TessellationError, match=r"more than [26]0000 points within"):
        voronoi_faces(np.diag([2.3, 4.0, long]), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.01]]))
    assert asked == []


def test_the_work_of_qhull_is_bounded_by_less(crystal, monkeypatch):
    qhull_faces(crystal.lattice, crystal.frac_coords)
    monkeypatch.setattr(voronoi, "MAX_QHULL_POINTS", 20)
    with pytest.raises(TessellationError, match="more than 20 points within"):
        qhull_faces(crystal.lattice, crystal.frac_coords)
