"""Crystals in, numbers with units out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ecn import checkpoint
from ecn.data import cell_tensors
from ecn.errors import UserError
from ecn.evaluation import max_edges, predict_rows
from ecn.features import N_ELEMENTS
from mpclean.bonding import BondGraph, MissingRadiusError, TessellationError, topology
from mpclean.canonical import (
    CELL_TOLERANCE,
    PrimitiveCell,
    SymmetryError,
    canonical_cell,
    pearson_symbols,
)
from mpclean.crystal import Crystal, formula, reduced_formula
from mpclean.elements import SYMBOLS
from mpclean.work import Bonds

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


@dataclass(frozen=True)
class Prediction:
    """What a model says about a crystal."""

    formula: str
    """Reduced formula."""
    target: str
    """Name of the target."""
    value: float
    """The prediction, in `unit`; NaN where none can be made."""
    unit: str
    """Unit of `value`."""
    warning: str = ""
    """What speaks against the number, or why there is none; empty where nothing does."""

    def __float__(self) -> float:
        return self.value


class Predictor:
    """A trained model with all that leads from a structure to a number.

    Parameters
    ----------
    saved
        The run.
    """

    def __init__(self, saved: checkpoint.Checkpoint) -> None:
        self.checkpoint = saved
        self.goal = saved.goal
        if self.goal.per_site:
            raise UserError(f"{saved.path}: trained on numbers of sites; predictions are those of crystals")
        rules = saved.config.featuriser
        self.bonds = Bonds(kind=rules["bonds"], min_area=rules["min_area"], cutoff=rules["cutoff"])

    def predict(self, structures: Iterable[Structure | Crystal | Atoms]) -> list[Prediction]:
        """Predict crystals, each on its canonical primitive cell, with the release's own bonds.

        Parameters
        ----------
        structures
            pymatgen structures, `mpclean.crystal.Crystal` or ASE atoms.

        Returns
        -------
        A prediction for each, in their order, and of several targets for each of these. One whose
        graph is not valid (`graph_problem`) or whose cell is in doubt (`cell_problem`) has a warning,
        as all have from a model that was trained on synthetic labels; one without a graph has no
        value either.

        Raises
        ------
        UserError
            If a structure is not ordered or not periodic in three directions.
        """
        crystals = [_crystal(structure) for structure in structures]
        found = [self._prepare(crystal) for crystal in crystals]
        values = iter(self._values([usable for usable, _ in found if usable is not None]))
        nothing = [math.nan] * len(self.goal.tasks)
        return [
            Prediction(reduced_formula(formula(crystal.atomic_numbers)), task.name, value, task.unit, warning)
            for crystal, (usable, warning) in zip(crystals, found, strict=True)
            for task, value in zip(self.goal.tasks, nothing if usable is None else next(values), strict=True)
        ]

    def _prepare(self, crystal: Crystal) -> tuple[tuple[PrimitiveCell, BondGraph] | None, str]:
        unknown = sorted({SYMBOLS[z] for z in crystal.atomic_numbers if z > N_ELEMENTS})
        if unknown:
            return None, f"the model does not know {', '.join(unknown)}"
        try:
            cell = canonical_cell(crystal)
            graph = self.bonds.graph(cell.crystal)
        except (SymmetryError, MissingRadiusError, TessellationError) as error:
            return None, str(error)
        made_up = "trained on synthetic labels" if self.checkpoint.config.release["synthetic"] else ""
        warnings = (graph_problem(cell.crystal, graph), cell_problem(crystal), made_up)
        return (cell, graph), "; ".join(filter(None, warnings))

    def _values(self, cells: list[tuple[PrimitiveCell, BondGraph]]) -> list[list[float]]:
        """The values of the targets for every cell."""
        if not cells:
            return []
        saved = self.checkpoint
        edges = max_edges(saved.model, torch.device("cpu"))
        output = saved.predict(predict_rows(saved.model, cell_tensors(cells), edges, None, per_site=False))
        columns = [task.value(output[:, k]) for k, task in enumerate(self.goal.tasks)]
        return torch.stack(columns, dim=1).tolist()


def graph_problem(cell: Crystal, graph: BondGraph) -> str:
    """What keeps a graph from being valid; empty if nothing does.

    A valid graph has a bond at every atom and is one connected component on the 2x2x2
    supercell (Kaba & Ravanbakhsh 2022, section 8). A release holds no others, so a model has
    seen no others.

    Parameters
    ----------
    cell
        A primitive cell.
    graph
        Its bonds.
    """
    found = topology(np.array([len(cell)]), graph.source, graph.target, graph.image)
    if found.n_isolated[0]:
        return f"{found.n_isolated[0]} atoms without a bond: no such crystal was trained on"
    if found.n_components[0] > 1:
        return f"bonds fall into {found.n_components[0]} components: no such crystal was trained on"
    return ""


def cell_problem(crystal: Crystal) -> str:
    """What makes the canonical cell of a crystal doubtful; empty if nothing does.

    Where the lattice lies within tolerance of another type, a crystal that differs hardly at
    all has another cell, and a model that knows cells another prediction.

    Parameters
    ----------
    crystal
        Any cell, as it was given.
    """
    symbols = pearson_symbols(crystal)
    if len(symbols) > 1:
        return f"lattice in doubt: {' or '.join(symbols)} at a tolerance of about {CELL_TOLERANCE} A"
    return ""


def _crystal(structure: Any) -> Crystal:
    if isinstance(structure, Crystal):
        return structure
    return (
        Crystal.from_ase(structure)
        if hasattr(structure, "pbc") and hasattr(structure, "cell")
        else Crystal.from_pymatgen(structure)
    )


def load(run: str | Path) -> Predictor:
    """Load a trained model.

    Parameters
    ----------
    run
        Folder of a run of ``ecn fit``.

    Raises
    ------
    UserError
        If it is no run, or a damaged one.
    """
    return Predictor(checkpoint.load(Path(run)))
