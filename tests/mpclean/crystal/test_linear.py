"""Small matrices: the numbers are numpy's, and their last bits hang on no processor."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mpclean.crystal.linear import (
    cell_vectors,
    determinant,
    heights,
    inverse,
    matmul,
    standard_orientation,
)

#: Settings that let OpenBLAS and numpy take other code on the same machine. One that the machine cannot run
#: (SkylakeX without AVX-512) is one that OpenBLAS itself refuses, and then takes its own choice.
PROCESSORS = {
    "Nehalem": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
}

DIGEST = """
import hashlib, numpy as np
from mpclean.crystal.linear import (
    cell_vectors, determinant, heights, inverse, matmul, standard_orientation
)
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for cell in rng.normal(size=(500, 3, 3)) + 3 * np.eye(3):
    digest.update(matmul(rng.random((7, 3)), cell).tobytes())
    for function in (inverse, determinant, heights):
        digest.update(np.asarray(function(cell)).tobytes())
    digest.update(standard_orientation(cell).tobytes())
    digest.update(cell_vectors(2 + rng.random(3), 80 + 30 * rng.random(3)).tobytes())
print(digest.hexdigest())
"""


@pytest.fixture
def cells():
    rng = np.random.default_rng(1)
    return rng.normal(size=(40, 3, 3)) + 3 * np.eye(3)


def test_the_numbers_are_those_of_numpy(cells):
    sites = np.random.default_rng(2).normal(size=(40, 5, 3))
    np.testing.assert_allclose(matmul(sites, cells), sites @ cells, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matmul(sites[:, None], cells[None]), sites[:, None] @ cells[None], atol=1e-12)
    np.testing.assert_allclose(determinant(cells), np.linalg.det(cells), rtol=1e-10)
    np.testing.assert_allclose(matmul(inverse(cells), cells), np.tile(np.eye(3), (40, 1, 1)), atol=1e-11)
    for cell in cells:
        np.testing.assert_allclose(standard_orientation(cell), np.linalg.cholesky(cell @ cell.T), atol=1e-12)
        np.testing.assert_allclose(heights(cell), 1 / np.linalg.norm(np.linalg.inv(cell), axis=0), rtol=1e-11)


@pytest.mark.parametrize(
    "angles", [(90, 90, 90), (90, 90, 120), (60, 60, 60), (81.3, 97.2, 142.7), (9, 9, 9)]
)
def test_a_cell_has_its_lengths_and_angles(angles):
    cell = cell_vectors((3.0, 4.5, 11.25), angles)
    lengths = np.linalg.norm(cell, axis=1)
    np.testing.assert_allclose(lengths, (3.0, 4.5, 11.25), rtol=1e-14)
    cosines = (cell @ cell.T / np.outer(lengths, lengths))[[1, 0, 0], [2, 2, 1]]
    np.testing.assert_allclose(cosines, np.cos(np.radians(angles)), atol=1e-14)
    np.testing.assert_allclose(cell, standard_orientation(cell), atol=1e-12)


@pytest.mark.parametrize(
    "angles",
    [(90, 90, 0), (90, 90, 180), (90, -90, 90), (1e300, 90, 90), (120, 120, 120.1), (1e-9, 1e-9, 60)],
)
def test_angles_that_no_cell_has_give_none(angles):
    assert not np.isfinite(cell_vectors((3.0, 4.5, 11.25), angles)).all()


def test_of_a_flat_cell_there_is_no_inverse():
    assert not np.isfinite(inverse(np.ones((3, 3)))).all()
    assert determinant(np.ones((3, 3))) == 0.0


def test_every_processor_has_the_same_bits():
    found = {
        name: subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name, settings in {"this": {}, **PROCESSORS}.items()
    }
    assert len(set(found.values())) == 1, found
