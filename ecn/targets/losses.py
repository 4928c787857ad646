"""Losses of numbers, and of magnetic moments, whose global sign means nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: Losses of numbers by name; see `ecn.training.presets.Preset.loss` and `huber_delta`.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mse": lambda output, label, _: functional.mse_loss(output, label, reduction="none"),
    "l1": lambda output, label, _: functional.l1_loss(output, label, reduction="none"),
    "huber": lambda output, label, delta: functional.huber_loss(output, label, reduction="none", delta=delta),
}


def signs(output: Tensor, label: Tensor, crystal: Tensor) -> Tensor:
    """Return the sign of every crystal, 1 or -1, that brings its labels closest to its outputs.

    Parameters
    ----------
    output, label
        Shape (R,), numbers of sites.
    crystal
        Shape (R,), int64, 0 to B - 1.

    Returns
    -------
    Tensor of shape (R,), by the smaller sum of squares: that of ``output . label``.
    """
    overlap = output.new_zeros(int(crystal.max()) + 1).index_add(0, crystal, output.detach() * label)
    return torch.where(overlap < 0, -1.0, 1.0).to(output.dtype)[crystal]


def site_errors(output: Tensor, label: Tensor, crystal: Tensor) -> Tensor:
    """Absolute errors of sites up to the global sign of a crystal; parameters as for `signs`."""
    return (output - signs(output, label, crystal) * label).abs()


def moment_loss(
    output: Tensor, label: Tensor, crystal: Tensor, kind: str = "mse", delta: float = 1.0
) -> Tensor:
    """Compute the loss of every crystal for magnetic moments, whose global sign means nothing.

    The loss of a crystal is the smaller of those for its moments m and -m, a mean over its sites
    (Kaba & Ravanbakhsh 2022, section 5: moments are local, and invariant only up to a global sign).

    Parameters
    ----------
    output, label
        Shape (R,), moments of sites, in muB.
    crystal
        Shape (R,), int64, the crystal of every site.
    kind, delta
        See `ecn.training.presets.Preset.loss` and `huber_delta`.

    Returns
    -------
    Tensor of shape (B,).
    """
    n_crystals = int(crystal.max()) + 1
    losses = [
        output.new_zeros(n_crystals).index_add(0, crystal, LOSSES[kind](output, sign * label, delta))
        for sign in (1.0, -1.0)
    ]
    return torch.minimum(*losses) / torch.bincount(crystal)
