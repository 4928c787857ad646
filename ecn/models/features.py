"""What a network sees of atoms, cells and distances.

Sections named here are those of Kaba & Ravanbakhsh 2022 (arXiv 2211.15420).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from ecn.data.batch import CrystalBatch
from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH
from mpclean.crystal.bonding.radii import COVALENT_RADII

#: Elements that the one-hot encoding knows: hydrogen to lawrencium.
N_ELEMENTS = 103


def element_one_hot(atomic_numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """One column for every element from H to Lr (Kaba & Ravanbakhsh 2022, section 7).

    Parameters
    ----------
    atomic_numbers
        Shape (n,), int64, 1 to 103.
    dtype
        Floating dtype of the result.

    Returns
    -------
    Tensor of shape (n, 103).
    """
    return nn.functional.one_hot(atomic_numbers - 1, N_ELEMENTS).to(dtype)


#: Periods and columns of the long form of the periodic table, in which the f block has columns
#: of its own: 2 s, 14 f, 10 d and 6 p. Group 3 is Sc, Y, Lu, Lr.
N_PERIODS, N_COLUMNS = 7, 32

_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)


def period_and_column(atomic_number: int) -> tuple[int, int]:
    """Where an element stands in the long form of the periodic table, from 0.

    Parameters
    ----------
    atomic_number
        1 to 118.
    """
    period = next(p for p, last in enumerate(_NOBLE_GASES) if atomic_number <= last) - 1
    place = atomic_number - _NOBLE_GASES[period]
    to_noble_gas = _NOBLE_GASES[period + 1] - atomic_number
    in_s_block = place <= 2 and to_noble_gas > 0  # helium stands above neon
    return period, place - 1 if in_s_block else N_COLUMNS - 1 - to_noble_gas


def group_period_encoding(atomic_numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Seven columns for the period of an element and 32 for its group (section 7).

    Parameters
    ----------
    atomic_numbers
        Shape (n,), int64, 1 to 103.
    dtype
        Floating dtype of the result.

    Returns
    -------
    Tensor of shape (n, 39), with two ones in every row.
    """
    places = _periods_and_columns().to(atomic_numbers.device)[atomic_numbers - 1]
    period, column = places.unbind(1)
    one_hots = (nn.functional.one_hot(period, N_PERIODS), nn.functional.one_hot(column, N_COLUMNS))
    return torch.cat(one_hots, dim=1).to(dtype)


@cache
def _periods_and_columns() -> Tensor:
    return torch.tensor([period_and_column(z) for z in range(1, N_ELEMENTS + 1)])


def _require_positive(name: str, length: float) -> None:
    if not length > 0.0:
        raise ValueError(f"the {name} of the distance basis is {length} A; it must be positive")


def envelope(distance: Tensor, stop: float) -> Tensor:
    """How much of a message passes along a bond: 1 at first, and from `stop` on 0, smoothly.

    ``u = 1 - 28 x^6 + 48 x^7 - 21 x^8`` with x = d / stop, whose first two derivatives vanish at `stop`.
    A sum over all neighbours within that distance then does not jump where one more comes in.

    Source: Gasteiger et al., *Directional Message Passing for Molecular Graphs*, ICLR 2020, eq. 8,
    with p = 6.

    Parameters
    ----------
    distance
        Shape (E,), in A.
    stop
        Where nothing is left, in A.

    Returns
    -------
    Tensor of shape (E,).
    """
    x = (distance / stop).clamp(max=1.0)
    return 1.0 + x**6 * (-28.0 + x * (48.0 - 21.0 * x))


def smooth_step(x: Tensor) -> Tensor:
    """Rise from 0 to 1 as x does, ``6 x^5 - 15 x^4 + 10 x^3``, with two vanishing derivatives at both ends.

    Source: Perlin, *Improving noise*, SIGGRAPH 2002.

    Parameters
    ----------
    x
        Any shape; 0 below 0 and 1 above 1, infinity too.
    """
    x = x.clamp(0.0, 1.0)
    return x**3 * (10.0 + x * (6.0 * x - 15.0))


def longest_bond(batch: CrystalBatch) -> Tensor:
    """Find how long the bonds of a batch might be: the radii of the two atoms and a margin, up to a cutoff.

    Parameters
    ----------
    batch
        Crystals with E bonds, as a release has them, see `mpclean.crystal.bonding.bond_graph`.

    Returns
    -------
    Tensor of shape (E,), in A.
    """
    radius = torch.from_numpy(COVALENT_RADII).to(batch.edge_length)
    ends = [radius[batch.atomic_numbers[end]] for end in (batch.edge_source, batch.edge_target)]
    return (torch.stack(ends).sum(0) + BOND_TOLERANCE).clamp(max=MAX_BOND_LENGTH)


#: Where a Gaussian ends: exp(-50) is 2e-22, nothing beside the 1 of its centre. Without it, distances far
#: from a centre give denormal numbers, on which a processor computes a hundred times more slowly.
_LARGEST_EXPONENT = 50.0


class GaussianBasis(nn.Module):
    """Distances on Gaussians, ``g_k(d) = exp(-(d - mu_k)^2 / w^2)``, without a factor of 2.

    Parameters
    ----------
    n_centres
        Number of centres, spaced evenly from 0 to `stop`.
    stop
        The last centre, in A.
    width
        The width w, in A.

    Raises
    ------
    ValueError
        If a length is not positive.
    """

    centres: Tensor

    def __init__(self, n_centres: int, stop: float, width: float) -> None:
        super().__init__()
        _require_positive("last centre", stop)
        _require_positive("width", width)
        self.width = width
        self.register_buffer("centres", torch.linspace(0.0, stop, n_centres), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Expand distances of shape (E,), in A, to features of shape (E, n_centres)."""
        distance = distance.to(self.centres.dtype)
        exponent = ((distance[:, None] - self.centres) / self.width) ** 2
        return torch.exp(-exponent.clamp(max=_LARGEST_EXPONENT))


class BesselBasis(nn.Module):
    """Distances on spherical Bessel functions, ``b_k(d) = sqrt(2/c) sin(k pi d / c) / d``.

    Source: Gasteiger et al., *Directional Message Passing for Molecular Graphs*, ICLR 2020, eq.
    7; an alternative to the Gaussians (section 5 of the paper).

    Parameters
    ----------
    n_centres
        Number of functions, k = 1 ... n_centres.
    stop
        The cutoff c, in A.

    Raises
    ------
    ValueError
        If the cutoff is not positive.
    """

    k: Tensor

    def __init__(self, n_centres: int, stop: float) -> None:
        super().__init__()
        _require_positive("cutoff", stop)
        self.stop = stop
        self.register_buffer("k", torch.arange(1.0, n_centres + 1.0), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Expand distances of shape (E,), in A, to features of shape (E, n_centres); 0 has its limit."""
        x = self.k / self.stop
        scale = math.sqrt(2.0 / self.stop) * math.pi
        return scale * x * torch.sinc(distance.to(self.k.dtype)[:, None] * x)
