"""What a build would make of crystals, without building a release: their graphs, and what the rules say.

The passes and the rules are those of a build. Rules that compare records with one another, as for
duplicates, have nothing to say of a crystal by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.crystal.bonding import topology
from mpclean.crystal.cells import CELL_TOLERANCE, pearson_symbols
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.errors import RecordError
from mpclean.pipeline.steps import Bonds, BondTask, bond, crystals_of, prepare_records
from mpclean.rules import Rule
from mpclean.sources.base import BATCH_SIZE
from mpclean.sources.documents import read_documents
from mpclean.vocabulary import lists
from mpclean.vocabulary.schema import BONDED, LEDGER, RECORD

#: Of a verdict: the rule that a crystal would leave by, why, and what was found; null where it would stay.
VERDICT = ("rule", "reason", "detail")

_KNOWN_WITHOUT_BONDS = ("material_id", "reduced_formula", "nsites")


@dataclass(frozen=True)
class ExamineTask:
    """Crystals, how bonds are found, and rules in their order.

    Attributes
    ----------
    given
        A batch of `mpclean.sources.base.DOCUMENTS`; or crystals, known by their numbers from 0, and in the
        place of one that could not be read, why.
    first
        Number of the first crystal.
    """

    given: pa.RecordBatch | tuple[Crystal | RecordError, ...]
    bonds: Bonds
    rules: tuple[Rule, ...]
    first: int = 0


@dataclass(frozen=True)
class Examined:
    """What became of K documents or crystals.

    Attributes
    ----------
    rows
        K rows of `mpclean.vocabulary.schema.BONDED`; a crystal without a graph has no ``edge_source``.
    verdicts
        K rows with the columns `VERDICT`.
    doubts
        K sentences on the cell (`cell_problem`), empty where there is no doubt.
    """

    rows: pa.Table
    verdicts: pa.Table
    doubts: list[str]


def examine(task: ExamineTask) -> Examined:
    """Bring crystals to what a release holds of them, and judge them.

    Parameters
    ----------
    task
        A batch.
    """
    if isinstance(task.given, pa.RecordBatch):
        records, locations = read_documents(task.given), task.given["location"].to_pylist()
        crystals = crystals_of(records.filter(records["reason"].is_null()))
    else:
        records, locations = (
            _records(task.given, task.first),
            [f"crystal {task.first + k}" for k in range(len(task.given))],
        )
        crystals = [crystal for crystal in task.given if isinstance(crystal, Crystal)]
    # Whoever reads it here is a rule; a crystal that has none cannot be told from one by its bonds.
    spacegroups = any("spacegroup_number" in rule.columns for rule in task.rules if rule.of_one)
    prepared, cells = prepare_records(records, crystals, locations, spacegroups=spacegroups)
    readable = prepared["reason"].is_null()
    survivors = prepared.filter(readable)
    bonded = pa.Table.from_batches([bond(BondTask(survivors, task.bonds))])
    for name in _KNOWN_WITHOUT_BONDS:  # where there are no bonds, `bond` says why and nothing else
        bonded = bonded.set_column(BONDED.get_field_index(name), BONDED.field(name), survivors[name])
    # The unreadable go back to their places; where rows are, says `place`.
    place = pc.index_in(prepared["position"], value_set=survivors["position"])
    rows, judged = bonded.take(place), judge(bonded, task.rules).take(place)
    # A record that cannot be read has an id at most.
    rows = rows.set_column(
        BONDED.get_field_index("material_id"), BONDED.field("material_id"), prepared["material_id"]
    )
    unread = pa.array(["record"] * len(rows))
    verdicts = pa.table(
        {
            "rule": pc.if_else(readable, judged["rule"], unread),
            "reason": pc.if_else(readable, judged["reason"], prepared["reason"]),
            "detail": pc.if_else(readable, judged["detail"], prepared["detail"]),
        }
    )
    problems = (
        cell_problem(crystal, cell.pearson_symbol) if cell is not None else ""
        for crystal, cell in zip(crystals, cells, strict=True)
    )
    doubts = [next(problems) if reads else "" for reads in records["reason"].is_null().to_pylist()]
    return Examined(rows, verdicts, doubts)


def _records(crystals: Sequence[Crystal | RecordError], first: int) -> pa.RecordBatch:
    """Write down what is known of crystals besides their cells, as `mpclean.vocabulary.schema.RECORD`."""
    rows = [
        {"material_id": str(number), "formula": formula(crystal.atomic_numbers)}
        if isinstance(crystal, Crystal)
        else {"reason": "document cannot be read", "detail": f"crystal {number}: {crystal}"}
        for number, crystal in enumerate(crystals, first)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=RECORD)


def judge(rows: pa.Table, rules: Iterable[Rule]) -> pa.Table:
    """Judge a crystal by the rules that look at one at a time.

    Parameters
    ----------
    rows
        With columns of `mpclean.vocabulary.schema.BONDED`; a rule that reads others says nothing.
    rules
        In their order; the first that a crystal breaks counts.

    Returns
    -------
    A row for each, with the columns `VERDICT`.
    """
    numbers = pa.array([str(row) for row in range(len(rows))], pa.string())
    able = [rule for rule in rules if rule.of_one and set(rule.columns) <= set(rows.column_names)]
    read = dict.fromkeys(name for rule in able for name in rule.columns)
    kept = pa.table({**{name: rows[name] for name in read}, "material_id": numbers, "nsites": rows["nsites"]})
    excluded = [LEDGER.empty_table()]
    for rule in able:
        kept, these = rule.apply(kept)
        excluded.append(these)
    ledger = pa.concat_tables(excluded).combine_chunks()
    place = pc.index_in(numbers, value_set=ledger["material_id"].combine_chunks())
    return ledger.select(VERDICT).take(place)


def judge_release(rows: pa.Table, rules: Iterable[Rule]) -> pa.Table:
    """Judge rows of a release, whose bonds are known.

    Parameters
    ----------
    rows
        With ``nsites`` and the columns of the edges.
    rules
        As for `judge`.
    """
    n_atoms = rows["nsites"].to_numpy().astype(np.int64)
    flat = {name: lists.flat(rows[name]) for name in ("edge_source", "edge_target", "edge_image")}
    first = np.repeat(lists.begins(n_atoms), lists.lengths(rows["edge_source"]))
    found = topology(
        n_atoms,
        flat["edge_source"].astype(np.int64) + first,
        flat["edge_target"].astype(np.int64) + first,
        flat["edge_image"].astype(np.int64).reshape(-1, 3),
    )
    nothing = pa.nulls(len(rows), pa.string())
    known = {
        "dimensionality": found.dimensionality,
        "n_components": found.n_components,
        "n_isolated": found.n_isolated,
        "reason": nothing,
        "detail": nothing,
    }
    for name, values in known.items():
        rows = rows.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    return judge(rows, rules)


def cell_problem(crystal: Crystal, pearson_symbol: str | None = None) -> str:
    """Say what makes the canonical cell of a crystal doubtful; empty if nothing does.

    Where the lattice lies within tolerance of another type, a crystal that differs hardly at
    all has another cell, and a model that knows cells another prediction.

    Parameters
    ----------
    crystal
        Any cell, as it was given.
    pearson_symbol
        That of `mpclean.crystal.cells.primitive_cell`, where it is known.
    """
    symbols = pearson_symbols(crystal, known=pearson_symbol)
    if len(symbols) > 1:
        return f"lattice in doubt: {' or '.join(symbols)} at a tolerance of about {CELL_TOLERANCE} A"
    return ""


def examine_tasks(
    crystals: Iterable[Crystal | RecordError], bonds: Bonds, rules: tuple[Rule, ...]
) -> Iterator[ExamineTask]:
    """Cut crystals, or why there is none, into tasks for `examine`."""
    remaining, first = iter(crystals), 0
    while batch := tuple(islice(remaining, BATCH_SIZE)):
        yield ExamineTask(batch, bonds, rules, first)
        first += len(batch)
