"""Crystals in, numbers with units out.

Whatever crystals come as, they go the way of a build (`mpclean.pipeline.single`): the same cells, the same
bonds, the same rules. Models see them as flat tensors, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ecn.data.compatibility import require_areas, require_same_bonds
from ecn.data.tensors import crystal_tensors
from ecn.inference.forward import max_edges, memory_of, predict_rows, require_device
from ecn.inference.limits import crystal_warnings, joint_coverage, limit_values
from ecn.models.features import N_ELEMENTS
from ecn.runs import checkpoint
from ecn.runs.ensemble import load_members
from ecn.runs.locate import locate
from ecn.targets.losses import signs
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_object
from mpclean.errors import RecordError, UserError
from mpclean.pipeline import executor as engine
from mpclean.pipeline.single import ExamineTask, examine, examine_tasks, judge_release
from mpclean.pipeline.steps import Bonds
from mpclean.release.reader import Release
from mpclean.rules.choice import remade
from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.schema import RELEASE

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

#: A table of predictions. ``site`` is the place of an atom in the canonical primitive cell, from 0, and
#: ``element`` its symbol, both null where the target is one of crystals. ``value`` and ``standard_deviation``
#: are in ``unit`` and null where there is no number; the standard deviation is that over the models of an
#: ensemble, null of a single one. ``valid`` is whether the rules of the data set would keep the crystal, and
#: ``rule`` the one that would not.
PREDICTIONS = pa.schema(
    [
        ("material_id", pa.string()),
        ("formula", pa.string()),
        ("target", pa.string()),
        ("site", pa.int64()),
        ("element", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("standard_deviation", pa.float64()),
        ("valid", pa.bool_()),
        ("rule", pa.string()),
        ("warning", pa.string()),
    ]
)


@dataclass(frozen=True)
class Prediction:
    """A predicted number with its unit, of a crystal or of an atom of it."""

    formula: str
    """Reduced formula."""
    target: str
    """Name of the target."""
    value: float
    """The prediction, in `unit`; NaN where none can be made. Of several models their mean."""
    unit: str
    """Unit of `value` and `standard_deviation`."""
    standard_deviation: float
    """Standard deviation over the models of an ensemble; NaN of a single one."""
    valid: bool
    """Whether the rules of the data set would keep the crystal."""
    rule: str
    """The rule that would not keep it; empty where all would."""
    warning: str = ""
    """What speaks against the number, or why there is none; empty where nothing does."""
    site: int | None = None
    """The atom's place in the canonical primitive cell, from 0; None where the target is one of crystals."""
    element: str = ""
    """The atom's symbol; empty where the target is one of crystals."""

    def __float__(self) -> float:
        return self.value


class Predictor:
    """Trained models with all that leads from a structure to a number.

    Parameters
    ----------
    members
        One run, or several for the same targets on the same graphs.
    device
        Name of a torch device.

    Raises
    ------
    UserError
        If the runs do not go together, or there is no such device.
    """

    def __init__(self, *members: checkpoint.Checkpoint, device: str = "cpu") -> None:
        require_device(device)
        self.members = members
        self.device = torch.device(device)
        with memory_of(self.device, "predict with --device cpu"):
            for member in members:
                member.model.to(self.device)
        self.goal = members[0].goal
        rules = members[0].config.featuriser
        for other in members[1:]:
            if other.goal.tasks != self.goal.tasks or other.config.featuriser != rules:
                what = "targets" if other.goal.tasks != self.goal.tasks else "bonds or rules"
                raise UserError(
                    f"{members[0].path} and {other.path}: trained for different {what}, so they cannot be "
                    "averaged; give runs of one target and one kind of release"
                )
        self.bonds = Bonds(kind=rules.bonds, min_area=rules.min_area, cutoff=rules.cutoff)
        self.rules = remade(rules.rules, rules.rule_parameters)
        self.coverage = joint_coverage([member.config.coverage for member in members])
        self.synthetic = any(member.config.release.synthetic for member in members)

    @property
    def description(self) -> str:
        """Say what is predicted, by which model, and what it was trained on."""
        first = self.members[0]
        targets = ", ".join(
            f"{task.name} ({task.unit})" if task.unit else task.name for task in self.goal.tasks
        )
        release = first.config.release
        kind = (
            f"ensemble of {len(self.members)} {first.config.model}"
            if len(self.members) > 1
            else (f"{first.config.model}, epoch {first.epoch}")
        )
        return (
            f"{targets}; {kind}; trained on {_n_trained_on(self.members):,} crystals of {release.name} "
            f"{release.version}"
        )

    def __repr__(self) -> str:
        return f"Predictor({self.description})"

    def _repr_html_(self) -> str:
        return f"<b>Predictor</b> {escape(self.description)}"

    def predict(
        self, structures: Structure | Crystal | Atoms | Iterable[Structure | Crystal | Atoms]
    ) -> list[Prediction]:
        """Predict crystals, each on its canonical primitive cell, with the release's own bonds.

        Parameters
        ----------
        structures
            pymatgen structures, `mpclean.crystal.crystal.Crystal` or ASE atoms, or a single one.

        Returns
        -------
        A prediction for each, in their order, and of several targets for each of these; of a target of
        sites for each atom of the canonical primitive cell. A number has a warning where the rules of the
        data set would exclude the crystal, its cell is in doubt (`mpclean.pipeline.single.cell_problem`), its
        elements, size or bonds, or the number itself, lie outside the training set, and where the labels were
        synthetic. A crystal without a graph, a disordered one, or one that is not periodic in three
        directions has no value, and a warning that says why.
        A quantity that cannot be negative, such as a band gap, is never below zero.

        Raises
        ------
        UserError
            If what is given is not a structure.

        Examples
        --------
        ::

            model = ecn.load("formation-energy")
            (prediction,) = model.predict(structure)
            print(prediction.value, prediction.unit, prediction.warning)
        """
        given: list[Any] = (
            [structures] if _is_structure(structures) else list(cast("Iterable[Any]", structures))
        )
        crystals = [_read(number, structure) for number, structure in enumerate(given)]
        rows = [row for table in self.predict_crystals(crystals) for row in table.to_pylist()]
        return [
            Prediction(
                row["formula"] or "",
                row["target"],
                np.nan if row["value"] is None else row["value"],
                row["unit"],
                np.nan if row["standard_deviation"] is None else row["standard_deviation"],
                row["valid"],
                row["rule"] or "",
                row["warning"],
                row["site"],
                row["element"] or "",
            )
            for row in rows
        ]

    def predict_documents(self, batches: Iterable[pa.RecordBatch], workers: int = 1) -> Iterator[pa.Table]:
        """Predict documents as they come from a source.

        Parameters
        ----------
        batches
            Of `mpclean.sources.base.DOCUMENTS`; read as predictions are asked for.
        workers
            Processes that find cells and bonds.

        Yields
        ------
        A table of `PREDICTIONS` for each batch: for every document a row for each target, or each site.
        """
        return self._examined((ExamineTask(batch, self.bonds, self.rules) for batch in batches), workers)

    def predict_crystals(
        self, crystals: Iterable[Crystal | RecordError], workers: int = 1
    ) -> Iterator[pa.Table]:
        """Predict crystals, known by their numbers from 0 in every table.

        Parameters
        ----------
        crystals
            In the order wanted; in the place of one that could not be read, why.
        workers
            Processes that find cells and bonds.

        Yields
        ------
        A table of `PREDICTIONS` for each batch.
        """
        return self._examined(examine_tasks(crystals, self.bonds, self.rules), workers)

    def _examined(self, tasks: Iterable[ExamineTask], workers: int) -> Iterator[pa.Table]:
        for found in engine.run(examine, tasks, workers):
            yield self._table(found.rows, found.verdicts, found.doubts)

    def predict_release(self, release: Release, part: str | None = None) -> Iterator[pa.Table]:
        """Predict rows of a release, whose graphs are taken as they are.

        Parameters
        ----------
        release
            One whose bonds were found as those of the models.
        part
            "train", "validation" or "test", of the split that the models were trained on; all rows by
            default.

        Yields
        ------
        A table of `PREDICTIONS` for each row group of the release.

        Raises
        ------
        UserError
            If its bonds were found otherwise, it has not the split of the models, these were trained on
            several, or it cannot be read.
        """
        require_same_bonds(release, self.members[0].config.featuriser)
        require_areas(release, self.members[0].model)
        for rows in release.batches(part, RELEASE.names, split=self._split() if part else None):
            yield self._table(rows, judge_release(rows, self.rules), [""] * len(rows))

    def _table(self, rows: pa.Table, verdicts: pa.Table, doubts: list[str]) -> pa.Table:
        known, tasks = self._known(rows), self.goal.tasks
        atoms = lists.lengths(rows["atomic_numbers"])
        # The crystal of every row of the result: it has one for each target, or for each atom.
        counts = np.where(known, atoms, 1) if self.goal.per_site else np.full(len(rows), len(tasks))
        crystal = np.repeat(np.arange(len(rows)), counts)
        has_number = known[crystal]
        # What has no graph stays NaN, which is null in the table: no made-up number stands for it.
        numbers = np.full((len(self.members), len(crystal)), np.nan)
        atomic_number = np.zeros(len(crystal), np.int64)  # of the atom that a row is about, if it is
        if known.any():
            with_graphs = rows.filter(pa.array(known))
            numbers[:, has_number] = self._values(with_graphs)
            if self.goal.per_site:
                atomic_number[has_number] = lists.flat(with_graphs["atomic_numbers"])
        site = np.arange(len(crystal)) - np.searchsorted(crystal, crystal)
        values, beyond = limit_values(numbers.mean(axis=0), tasks, self.coverage)
        several = len(self.members) > 1
        standard_deviation = numbers.std(axis=0, ddof=1) if several else np.full(len(crystal), np.nan)
        warnings = [
            "; ".join(filter(None, parts))
            for parts in zip(
                map(_said, *(verdicts[name].to_pylist() for name in ("rule", "reason", "detail"))),
                ("" if k else _unknown(row) for k, row in zip(known, rows["atomic_numbers"], strict=True)),
                crystal_warnings(rows, self.coverage),
                doubts,
                ["trained on synthetic labels" if self.synthetic else ""] * len(rows),
                strict=True,
            )
        ]
        of_crystals = pa.table(
            {
                "material_id": rows["material_id"],
                "formula": rows["reduced_formula"],
                "valid": verdicts["rule"].is_null(),
                "rule": verdicts["rule"],
                "warning": pa.array(warnings, pa.string()),
            }
        ).take(pa.array(crystal))
        names, units = ([getattr(task, what) for task in tasks] for what in ("name", "unit"))
        columns = {
            **{name: of_crystals[name] for name in of_crystals.column_names},
            "target": pa.array(names * (len(crystal) // len(tasks)), pa.string()),
            "unit": pa.array(units * (len(crystal) // len(tasks)), pa.string()),
            "site": pa.array(site, mask=atomic_number == 0),
            "element": pa.array(np.array(SYMBOLS, object)[atomic_number], mask=atomic_number == 0),
            "value": pa.array(values, from_pandas=True),
            "warning": pa.array(
                [
                    "; ".join(filter(None, both))
                    for both in zip(beyond, of_crystals["warning"].to_pylist(), strict=True)
                ],
                pa.string(),
            ),
            "standard_deviation": pa.array(standard_deviation, from_pandas=True),
        }
        return pa.table([columns[name] for name in PREDICTIONS.names], schema=PREDICTIONS)

    def _split(self) -> str | None:
        """Give the split that all members were trained on: another one's test rows may be training rows."""
        splits = {member.config.release.split for member in self.members}
        if len(splits) > 1:
            names = ", ".join(sorted(name or "that of the build" for name in splits))
            raise UserError(f"the models were trained on different splits ({names}): predict without --part")
        return splits.pop()

    def _known(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Whether a row has a graph, and no element that the models do not know; (K,)."""
        known = rows["edge_source"].is_valid().to_numpy().copy()
        numbers = rows["atomic_numbers"]
        return known & ~lists.any_in_row(lists.flat(numbers) > N_ELEMENTS, lists.lengths(numbers))

    def _values(self, rows: pa.Table) -> NDArray[np.float64]:
        """Values of every member for rows with graphs, (members, K * targets) or (members, atoms).

        The sign of all numbers of sites of a crystal means nothing: it is that of the first member.
        """
        crystals = crystal_tensors(rows, "crystals")
        found = []
        with memory_of(self.device, "predict with --device cpu"):
            crystals = crystals.to(self.device)
            for member in self.members:
                edges = max_edges(member.model, self.device)
                output = member.predict(predict_rows(member.model, crystals, edges, None, self.goal.per_site))
                values = [task.value(output[:, k]) for k, task in enumerate(self.goal.tasks)]
                found.append(torch.stack(values, dim=1).double().cpu().flatten())
        if self.goal.per_site:
            crystal = torch.repeat_interleave(crystals.atom_start.diff().cpu())
            found = [values * signs(values, found[0], crystal) for values in found]
        return torch.stack(found).numpy()


def _n_trained_on(members: Sequence[checkpoint.Checkpoint]) -> int:
    """Count the crystals that the first run learned from; members of an ensemble hold back a fold each."""
    fold = members[0].config.fold
    if fold is None or not 1 < fold[1] <= len(members):
        return members[0].config.n_train
    return sum(member.config.n_train for member in members[: fold[1]]) // (fold[1] - 1)


def _unknown(atomic_numbers: pa.Scalar) -> str:
    names = sorted({SYMBOLS[z] for z in atomic_numbers.as_py() or () if z > N_ELEMENTS})
    return f"elements beyond Lr are unknown to the model: {', '.join(names)}" if names else ""


def _said(rule: str | None, reason: str | None, detail: str | None) -> str:
    """Put a verdict of the rules in words; empty where the crystal would be kept."""
    if rule is None:
        return ""
    detail = detail and detail.replace("; ", ", ")  # semicolons part the warnings of a crystal
    what = f"{reason} ({detail})" if detail else f"{reason}"
    return what if rule == "record" else f"the rule {rule} excludes such crystals: {what}"


def _is_structure(given: Any) -> bool:
    """Tell a single structure from several: those of pymatgen and ASE are themselves sequences, of sites."""
    return isinstance(given, Crystal) or hasattr(given, "lattice") or hasattr(given, "pbc")


def _read(number: int, structure: Any) -> Crystal | RecordError:
    """Take over a structure, or give the reason why it cannot be predicted."""
    try:
        return read_object(structure).crystal
    except RecordError as error:
        return error
    except UserError as error:
        raise UserError(f"structure {number}: {error}") from error


def load(run: str | Path, *more: str | Path, device: str = "cpu") -> Predictor:
    """Load a trained model, an ensemble, or several runs for one target; see `ecn.load`."""
    folders = [locate(name) for name in (run, *more)]
    return Predictor(*(member for folder in folders for member in load_members(folder)), device=device)
