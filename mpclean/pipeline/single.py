"""What a build would make of crystals, without building a release: their graphs, and what the rules say.

The passes and the rules are those of a build. Rules that compare records with one another, as for
duplicates, have nothing to say of a crystal by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.crystal.bonding import topology
from mpclean.crystal.cells import CELL_TOLERANCE, pearson_symbols
from mpclean.crystal.crystal import Crystal
from mpclean.errors import RecordError
from mpclean.pipeline.steps import Bonds, BondTask, PrepareTask, bond, prepare
from mpclean.rules import Rule
from mpclean.sources.base import batched_documents
from mpclean.sources.documents import read_documents
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.schema import BONDED, LEDGER

#: Of a verdict: the rule that a crystal would leave by, why, and what was found; null where it would stay.
VERDICT = ("rule", "reason", "detail")

_KNOWN_WITHOUT_BONDS = ("material_id", "reduced_formula", "nsites")


@dataclass(frozen=True)
class ExamineTask:
    """A batch of documents, how bonds are found, and rules in their order."""

    documents: pa.RecordBatch
    bonds: Bonds
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Examined:
    """What became of a batch of K documents.

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
    prepared = prepare(PrepareTask(task.documents, 0))
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
    records = read_documents(task.documents).to_pylist()
    doubts = [
        cell_problem(Crystal.from_row(record)) if reads else ""
        for record, reads in zip(records, readable.to_pylist(), strict=True)
    ]
    return Examined(rows, verdicts, doubts)


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
    flat = {
        name: np.concatenate([chunk.flatten().to_numpy() for chunk in rows[name].chunks] or [np.empty(0)])
        for name in ("edge_source", "edge_target", "edge_image")
    }
    n_edges = pc.list_value_length(rows["edge_source"]).to_numpy()
    first = np.repeat(np.cumsum(n_atoms) - n_atoms, n_edges)
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


def cell_problem(crystal: Crystal) -> str:
    """Say what makes the canonical cell of a crystal doubtful; empty if nothing does.

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


def documents(crystals: Sequence[Crystal | RecordError]) -> Iterator[pa.RecordBatch]:
    """Write crystals as batches of `mpclean.sources.base.DOCUMENTS`, known by their numbers from 0.

    Parameters
    ----------
    crystals
        In the order wanted; in the place of one that could not be read, why.
    """
    return batched_documents(
        (f"crystal {number}", None, str(crystal))
        if isinstance(crystal, RecordError)
        else (f"crystal {number}", _document(number, crystal), None)
        for number, crystal in enumerate(crystals)
    )


def _document(number: int, crystal: Crystal) -> bytes:
    sites = [
        {"species": [{"element": SYMBOLS[z]}], "abc": abc}
        for z, abc in zip(crystal.atomic_numbers, crystal.frac_coords.tolist(), strict=True)
    ]
    structure = {"lattice": {"matrix": crystal.lattice.tolist()}, "sites": sites}
    return json.dumps({"material_id": str(number), "structure": structure}).encode()
