"""What a model must have."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from ecn.data.batch import CrystalBatch


class CrystalModel(nn.Module):
    """A network from crystals to numbers.

    A model of one's own is a class derived from this one, with

    - `Config`, a frozen dataclass of its options. Every field has a default and, under it, a docstring;
      ``n_outputs: int = 1`` is among them: the numbers for each crystal, one for each target;
    - an ``__init__`` that takes an instance of `Config`, hands it to this one, and makes the layers. It
      raises ValueError where options do not go together;
    - `forward`, from a `CrystalBatch` to numbers.

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
        self.config = config

    def forward(self, batch: CrystalBatch) -> Tensor:
        """Predict.

        Parameters
        ----------
        batch
            B crystals.

        Returns
        -------
        Tensor of shape (B,), or (B, n_outputs) where there are several; of a model with a number for
        every node, (nodes,), those of an atom one after another.
        """
        raise NotImplementedError
