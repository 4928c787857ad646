"""Made-up labels, by the closed form of the docstring of `mpclean.sources.demo`."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH, radius_graph
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.crystal import Crystal
from mpclean.sources.demo.defects import Document
from mpclean.sources.demo.prototypes import PROTOTYPES
from mpclean.vocabulary.elements import SYMBOLS


@cache
def _electronegativities() -> NDArray[np.float64]:
    """Pauling's values by atomic number, shape (119,); 0 where there is none."""
    from pymatgen.core import Element

    without = {"He", "Ne", "Ar"}  # pymatgen warns of each
    placed = {
        symbol for prototype in PROTOTYPES for site in prototype.sites for symbol in site.elements.split()
    }
    return np.array([Element(symbol).X if symbol in placed - without else 0.0 for symbol in SYMBOLS])


def _unpaired(atomic_numbers: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Unpaired electrons: d^n of the dipositive ion for Ca to Zn, f^n of the tripositive one for La to Lu."""
    z = atomic_numbers.astype(np.float64)
    return np.maximum(0.0, np.maximum(np.minimum(z - 20, 30 - z), np.minimum(z - 57, 71 - z)))


def labels(crystal: Crystal) -> tuple[Document, NDArray[np.float64]]:
    """Make up the labels of a crystal, by the closed form of the package's docstring.

    Returns
    -------
    labels
        Under the keys of a summary document, in its units.
    moments
        (n,) muB.
    """
    n = len(crystal)
    x, r = _electronegativities()[crystal.atomic_numbers], COVALENT_RADII[crystal.atomic_numbers]
    graph = radius_graph(crystal, min(2 * r.max() + BOND_TOLERANCE, MAX_BOND_LENGTH))
    i, j = graph.source, graph.target
    s = graph.length - r[i] - r[j]
    # Of `math`: numpy's cosine has other last digits on processors with AVX-512.
    turn = np.array([math.cos(x) for x in np.pi * np.clip(s / BOND_TOLERANCE, 0.0, 1.0)])
    w = (1.0 + turn) / 2.0
    polar = w * (x[i] - x[j]) ** 2

    bonds = np.maximum(np.bincount(i, w, minlength=n), 1e-12)  # an atom without bonds is not ionic
    own_ionicity = np.bincount(i, polar, minlength=n) / bonds
    strain = 0.5 * r.var() / r.mean() ** 2 + 0.15 * (w * s**2).sum() / n
    moments = _unpaired(crystal.atomic_numbers) * own_ionicity / (1.0 + own_ionicity)
    symbols = {SYMBOLS[z] for z in crystal.atomic_numbers}
    values = {
        "formation_energy_per_atom": strain - 0.1 * polar.sum() / n,
        "energy_above_hull": strain,
        "band_gap": max(0.0, 1.4 * (polar.sum() / bonds.sum() - 1.2)),
        "efermi": 1.5 * x.mean() + 30.0 * (n / crystal.volume) ** (2 / 3) - 3.0,
        "total_magnetization": moments.sum(),
    }
    hubbard = bool(symbols & {"O", "F"} and symbols & {"Co", "Cr", "Fe", "Mn", "Mo", "Ni", "V", "W"})
    # Rounded, so that the last bit of a cosine does not depend on the platform.
    return {key: round(float(value), 6) for key, value in values.items()} | {"is_hubbard": hubbard}, moments
