"""What a network sees of atoms, cells and distances."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
    """

    centres: Tensor

    def __init__(self, n_centres: int, stop: float, width: float) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("centres", torch.linspace(0.0, stop, n_centres), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Expand distances of shape (E,), in A, to features of shape (E, n_centres)."""
        distance = distance.to(self.centres.dtype)
        return torch.exp(-(((distance[:, None] - self.centres) / self.width) ** 2))
