"""Products, inverses and determinants of 3 x 3 matrices, equal to the last bit on every machine.

BLAS, LAPACK and `numpy.einsum` add in an order, and round after a product or not, as suits the
processor that they find. What is decided or hashed must not hang on that: two laboratories build one
release. So sums here have one order, of elementwise products and sums, each rounded as IEEE 754 says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def matmul(left: NDArray[Any], right: NDArray[Any]) -> Floats:
    """Matrix product over an inner dimension of three.

    Parameters
    ----------
    left
        (..., n, 3).
    right
        (..., 3, m); leading dimensions are broadcast.

    Returns
    -------
    (..., n, m) float64.

    Examples
    --------
    >>> matmul(np.eye(3), 2.0 * np.eye(3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    result: Floats = left[..., :, 0, None] * right[..., None, 0, :] * 1.0
    result += left[..., :, 1, None] * right[..., None, 1, :]
    result += left[..., :, 2, None] * right[..., None, 2, :]
    return result


#: Places of the factors of the nine cofactors in a matrix, row by row: C_ij is the product of the first
#: two less that of the last two, of rows i + 1 and i + 2 and columns j + 1 and j + 2, modulo 3.
_FACTORS = tuple(
    np.array([3 * ((i + a) % 3) + (j + b) % 3 for i in range(3) for j in range(3)])
    for a, b in ((1, 1), (2, 2), (1, 2), (2, 1))
)


def _cofactors(matrix: NDArray[Any]) -> Floats:
    """Cofactor matrices, (..., 3, 3)."""
    flat = matrix.reshape(*matrix.shape[:-2], 9) * 1.0
    a, b, c, d = (flat[..., place] for place in _FACTORS)
    return np.asarray(a * b - c * d).reshape(matrix.shape)


def determinant(matrix: NDArray[Any]) -> Floats:
    """Compute the determinants (...) of (..., 3, 3) matrices."""
    terms = matrix[..., 0, :] * _cofactors(matrix)[..., 0, :]
    return np.asarray(terms[..., 0] + terms[..., 1] + terms[..., 2])


def inverse(matrix: NDArray[Any]) -> Floats:
    """Inverses (..., 3, 3) of (..., 3, 3) matrices, by their cofactors; not finite where there is none."""
    cofactors = _cofactors(matrix)
    terms = matrix[..., 0, :] * cofactors[..., 0, :]
    total = terms[..., 0] + terms[..., 1] + terms[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.swapaxes(cofactors, -1, -2) / total[..., None, None])


def standard_orientation(basis: Floats) -> Floats:
    """Turn a cell so that a lies along x and b in the xy plane, with c above it.

    Parameters
    ----------
    basis
        (3, 3); rows are the cell vectors.

    Returns
    -------
    Lower triangular (3, 3), its diagonal above zero: the Cholesky factor of the metric.
    """
    (aa, ab, ac), (_, bb, bc), (_, _, cc) = matmul(basis, basis.T).tolist()
    ax = aa**0.5
    bx, cx = ab / ax, ac / ax
    by = (bb - bx * bx) ** 0.5
    cy = (bc - bx * cx) / by
    cz = (cc - cx * cx - cy * cy) ** 0.5
    return np.array([[ax, 0.0, 0.0], [bx, by, 0.0], [cx, cy, cz]])


def cell_vectors(lengths: Sequence[float], angles: Sequence[float]) -> Floats:
    """Make a cell of the lengths of its vectors and the angles between them.

    Parameters
    ----------
    lengths
        Of a, b and c, A.
    angles
        alpha, between b and c, beta and gamma, degrees.

    Returns
    -------
    (3, 3), oriented as by `standard_orientation`; not finite where no cell has such angles.
    """
    a, b, c = lengths
    cos_alpha, cos_beta, cos_gamma = (_cosine(angle) for angle in angles)
    sin_gamma = max(1.0 - cos_gamma * cos_gamma, 0.0) ** 0.5
    y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma if sin_gamma > 0 else math.nan
    z = 1.0 - cos_beta * cos_beta - y * y
    z = z**0.5 if z >= 0 else math.nan
    return np.array([[a, 0.0, 0.0], [b * cos_gamma, b * sin_gamma, 0.0], [c * cos_beta, c * y, c * z]])


def _cosine(degrees: float) -> float:
    """Compute the cosine of an angle between 0 and 180 degrees, as the sine of 90 degrees less it.

    By its series, as the functions of the C library and of numpy round as suits the processor.
    """
    if not 0.0 < degrees < 180.0:
        return math.nan
    x = math.radians(90.0 - degrees)
    term = total = x
    for n in range(2, 28, 2):
        term *= -x * x / (n * (n + 1))
        total += term
    return total


def heights(lattice: Floats) -> Floats:
    """Distances (3,) of opposite faces of a cell, in the unit of its vectors."""
    columns = inverse(lattice)
    return np.asarray(1.0 / np.sqrt((columns * columns).sum(axis=0)))
