"""What every model is."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from ecn.data.batch import CrystalBatch


class CrystalModel(nn.Module):
    """A network that gives one number for a crystal.

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
