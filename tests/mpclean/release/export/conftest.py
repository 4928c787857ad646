from __future__ import annotations

import numpy as np
import pytest

from mpclean.release.export import export


@pytest.fixture
def exported(demo_release, tmp_path):
    """Export the demo release, and hand back the path and what is to be in it."""

    def exported(name, out, **choice):
        export(demo_release, name, tmp_path / out, **choice)
        choice.pop("target", None)
        labelled = demo_release.crystals(**choice)
        return tmp_path / out, [(crystal, labels | {"synthetic": True}) for crystal, labels in labelled]

    return exported


@pytest.fixture(scope="session")
def same_arrays():
    """Whether arrays of the same cell in the same orientation agree to 1e-6 A."""

    def same_arrays(lattice, numbers, frac_coords, crystal):
        assert list(numbers) == crystal.atomic_numbers.tolist()
        np.testing.assert_allclose(lattice, crystal.lattice, rtol=0, atol=1e-6)
        apart = np.asarray(frac_coords) - crystal.frac_coords
        apart -= np.rint(apart)  # a reader may move an atom to another cell
        np.testing.assert_allclose(apart @ crystal.lattice, 0.0, rtol=0, atol=1e-6)

    return same_arrays


@pytest.fixture(scope="session")
def same_crystal():
    """Whether a pymatgen structure is a crystal to 1e-6 A, in any orientation and any order of atoms."""

    def same_crystal(structure, crystal):
        expected = crystal.to_pymatgen()
        np.testing.assert_allclose(
            structure.lattice.parameters, expected.lattice.parameters, rtol=0, atol=1e-6
        )
        apart = crystal.frac_coords[:, None] - structure.frac_coords
        distance = np.linalg.norm((apart - np.rint(apart)) @ crystal.lattice, axis=2)
        found = distance.argmin(axis=1)
        assert sorted(found) == list(range(len(crystal)))
        assert distance.min(axis=1).max() < 1e-6
        assert [structure[k].specie.Z for k in found] == crystal.atomic_numbers.tolist()

    return same_crystal
