"""Covalent radii.

Source: Cordero et al., "Covalent radii revisited", Dalton Trans. 2008, 2832, table 2, in
the choice that pymatgen made where the article gives several values (C sp3 0.73; Mn, Fe
and Co high spin 1.50, 1.42, 1.38), hydrogen to curium. No value exists beyond curium.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# fmt: off
_CORDERO = (
    0.31, 0.28, 1.28, 0.96, 0.84, 0.73, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41,
    1.21, 1.11, 1.07, 1.05, 1.02, 1.06, 2.03, 1.76, 1.70, 1.60, 1.53, 1.39,
    1.50, 1.42, 1.38, 1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16,
    2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44,
    1.42, 1.39, 1.39, 1.38, 1.39, 1.40, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01,
    1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87, 1.75,
    1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.40,
    1.50, 1.50, 2.60, 2.21, 2.15, 2.06, 2.00, 1.96, 1.90, 1.87, 1.80, 1.69,
)
# fmt: on

#: Covalent radius by atomic number, A, shape (119,); NaN where none is known.
COVALENT_RADII: NDArray[np.float64] = np.full(119, np.nan)
COVALENT_RADII[1 : len(_CORDERO) + 1] = _CORDERO
