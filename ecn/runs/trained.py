"""A run as a Python object: what `ecn.fit` returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ecn.inference.evaluation import Evaluations, evaluate
from ecn.inference.predict import Prediction, Predictor
from ecn.runs.ensemble import load_members

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    from mpclean.crystal.crystal import Crystal


@dataclass(frozen=True)
class Run:
    """A trained model, or an ensemble of them, with the release that it was trained on.

    Attributes
    ----------
    path
        Folder of the run.
    interrupted
        Whether its training was stopped by the user before its end.
    """

    path: Path
    interrupted: bool = False

    @cached_property
    def model(self) -> Predictor:
        """The best weights, read when they are first asked for."""
        return Predictor(*load_members(self.path))

    def evaluate(
        self, part: str = "test", release: str | Path | None = None, device: str = "cpu"
    ) -> Evaluations:
        """Compare predictions with the labels of a part of the split; see `ecn.evaluate`.

        Parameters
        ----------
        part
            "train", "validation" or "test".
        release
            Another release than the one trained on.
        device
            Name of a torch device.

        Returns
        -------
        An evaluation for every target, with errors in its unit.

        Raises
        ------
        mpclean.errors.UserError
            If the release is not there any more, or was built with other bond settings.

        Examples
        --------
        ::

            (evaluation,) = run.evaluate()
            evaluation.metrics["mae"], evaluation.to_pandas()
        """
        return evaluate(self.path, part, None if release is None else Path(release), device)

    def predict(
        self, structures: Structure | Crystal | Atoms | Iterable[Structure | Crystal | Atoms]
    ) -> list[Prediction]:
        """Predict crystals; see `ecn.inference.predict.Predictor.predict`.

        Examples
        --------
        ::

            (prediction,) = run.predict(structure)
            prediction.value, prediction.unit, prediction.warning
        """
        return self.model.predict(structures)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.model.description})"

    def _repr_html_(self) -> str:
        return f"<b>Run</b> <code>{escape(str(self.path))}</code><br>{escape(self.model.description)}"
