"""What a model must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ecn.data.batch import CrystalBatch
from ecn.data.reduction import reduce_crystals
from ecn.data.tensors import CrystalTensors
from ecn.models.features import longest_bond, smooth_step


@dataclass(frozen=True)
class ModelConfig:
    """Options of every model; the defaults change nothing of what its authors published."""

    n_outputs: int = 1
    """Numbers for every crystal, one for each target."""
    same_length: float = 1e-6
    """Bonds between equal atoms whose lengths differ by no more, in A, count as equally long, and atoms that
    are then alike are computed once; see `ecn.data.reduction`."""
    fade_area: float | None = None
    """Area of the Voronoi face, in A^2, below which the message of a bond fades, smoothly to nothing at 0;
    null where every bond counts in full. Bonds of a radius have no face, and do not fade."""
    fade_length: float | None = None
    """Messages fade over this length, in A, below the longest bond that a release has; null where
    every bond counts in full. Bonds of a radius do not fade."""


class CrystalModel(nn.Module):
    """A network from crystals to numbers.

    A model of one's own is a class derived from this one, with

    - `Config`, a frozen dataclass of its options derived from `ModelConfig`. Every field has a default and,
      under it, a docstring;
    - an ``__init__`` that takes an instance of `Config`, hands it to this one, and makes the layers. It
      raises ValueError where options do not go together;
    - `forward`, from a `CrystalBatch` to numbers;
    - `labels`, if it sees no positions: then atoms and bonds that it cannot tell apart are computed once.
      Such a model calls `labelled` first, weighs messages by `edge_weight` and means over atoms by
      `node_size`.

    Its output must depend neither on the order of atoms and bonds nor on the crystals beside it, and all
    that it holds must be in its state dict or follow from its options: `ecn.testing.model_tests` has the
    tests. It needs no registration to be trained, as ``--model package.module:Class``; an installed
    package names it for all with an entry point in the group ``ecn.models``.

    Parameters
    ----------
    config
        Its options, an instance of `Config`.
    """

    Config: ClassVar[type]
    """Frozen dataclass of the options, with the published values as defaults."""
    copies: int = 1
    """Edges of the model's own graph per bond of the primitive cell."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        for name in ("same_length", "fade_area", "fade_length"):
            if (value := getattr(config, name, None)) is not None and not value >= 0.0:
                raise ValueError(f"{name} is {value}; it must not be negative")
        self.config = config

    def labels(self, batch: CrystalBatch) -> tuple[Tensor, Tensor] | None:
        """Say what the model tells nodes and bonds apart by.

        Two nodes with one label start with equal features. Two bonds with one label whose sources have
        equal features, whose targets have too, and that are equally long carry equal messages.

        Parameters
        ----------
        batch
            B crystals with n nodes and E bonds, not reduced.

        Returns
        -------
        Labels of nodes (n,) and of bonds (E,), int64, at least 0; None, as here, if the model sees more of
        a crystal, such as positions. Then nothing is merged.
        """
        return None

    def edge_weights(self, batch: CrystalBatch) -> Tensor:
        """Say how much of its message a bond carries, by its face and its length.

        A weight is 0 with zero slope where the bond would come or go, so that no output jumps when a face
        vanishes or a bond becomes too long, and 1 with zero slope further on. Bonds of a radius, which have
        no face (an infinite area), carry their whole message.

        Parameters
        ----------
        batch
            Crystals with E bonds, not reduced.

        Returns
        -------
        Tensor of shape (E,).
        """
        weight = batch.edge_weight
        if self.config.fade_area is not None:
            weight = weight * smooth_step(batch.edge_area / self.config.fade_area)
        if self.config.fade_length is not None:
            near = smooth_step((longest_bond(batch) - batch.edge_length) / self.config.fade_length)
            weight = weight * torch.where(batch.edge_area.isinf(), torch.ones_like(near), near)
        return weight

    def labelled(self, batch: CrystalBatch) -> CrystalBatch:
        """Complete a batch by what `labels` and `edge_weights` say, unless it has been prepared."""
        if batch.edge_label is not None or (found := self.labels(batch)) is None:
            return batch
        node, edge = found
        return batch._replace(node_label=node, edge_label=edge, edge_weight=self.edge_weights(batch))

    def prepare(self, crystals: CrystalTensors) -> CrystalTensors:
        """Do once for a data set what does not change from epoch to epoch (`ecn.data.reduction`).

        Parameters
        ----------
        crystals
            As read; those that have been prepared for a model with the same options stay as they are.

        Returns
        -------
        Crystals for which the model has the same outputs, faster.
        """
        if crystals.edge_label is not None:
            return crystals
        given, ours = crystals.atom_start.device, next(self.parameters()).device
        on_ours = crystals.to(ours)
        if self.labels(on_ours.batch(torch.zeros(1, dtype=torch.int64, device=ours))) is None:
            return crystals
        with torch.no_grad():
            return reduce_crystals(on_ours, self.labelled, self.config.same_length).to(given)

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict.

        Parameters
        ----------
        batch
            B crystals.

        Returns
        -------
        Tensor of shape (B,), or (B, n_outputs) where there are several; of a model with a number for
        every node, (copies * n,), those of a node one after another.
        """
        raise NotImplementedError
