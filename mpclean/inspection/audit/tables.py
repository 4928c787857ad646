"""The tables of an audit, for the terminal, notebooks and the report."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from mpclean.crystal.similarity.levels import LEVELS
from mpclean.inspection.audit.leakage import PAIRS
from mpclean.release.tables import Table

if TYPE_CHECKING:
    from mpclean.inspection.audit import Audit

#: Ids that stand for all of a kind.
_SHOWN = 3


def leakage_table(found: Audit) -> Table:
    """Make the table of leakage: a row for every split and level, and whether the split keeps them apart."""
    head = ["split", "equal in", "kept apart", *(f"{part} to {other}" for part, other in PAIRS.values())]
    rows = [
        [
            split,
            LEVELS[level].title,
            "yes" if level in found.keeps_apart[split] else "",
            *map(_share, pairs.values()),
        ]
        for split, levels in found.leakage.items()
        for level, pairs in levels.items()
    ]
    return head, rows


def leaking_table(found: Audit) -> Table:
    """Make the table of what leaks: the rows of `leakage_table` that are not all zeros.

    A promise is not told here: one that is broken is an error of its own (`Audit.broken`).
    """
    head, rows = leakage_table(found)
    counts = (pairs.values() for levels in found.leakage.values() for pairs in levels.values())
    leaking = [any(pair["leaking"] for pair in pairs) for pairs in counts]
    return head[:2] + head[3:], [row[:2] + row[3:] for row in compress(rows, leaking)]


def clean_notes(found: Audit) -> list[str]:
    """Say of every split at which levels nothing leaks, in a line."""
    notes = []
    for split, levels in found.leakage.items():
        clean = [
            LEVELS[level].title
            for level, pairs in levels.items()
            if not any(counts["leaking"] for counts in pairs.values())
        ]
        if clean:
            notes.append(f"nothing leaks in {split} at: {', '.join(clean)}")
    return notes


def label_table(found: Audit, clean: bool = True) -> Table:
    """Make the table of suspicious labels: a row for every check, or for those that found something."""
    rows = [
        [check.title, f"{len(check.material_ids):,}", ", ".join(check.material_ids[:_SHOWN])]
        for check in found.labels
        if clean or check.material_ids
    ]
    return ["suspicious", "records", "such as"], rows


def mixture_table(found: Audit) -> Table:
    """Make the table of energies of several kinds."""
    rows = [
        [mixture.title, kind, f"{count:,}", ", ".join(mixture.examples[kind])]
        for mixture in found.mixtures
        for kind, count in mixture.records.items()
    ]
    return ["energies mix", "value", "records", "such as"], rows


def licence_table(found: Audit) -> Table:
    """Make the table of licences."""
    rows = [[name, f"{entry['records']:,}", f"{entry['stated']:,}"] for name, entry in found.licences.items()]
    return ["licence", "records", "stated by the record"], rows


def tables(found: Audit) -> list[Table]:
    """Make all tables of an audit that have rows, without rows of zeros."""
    every = (
        leaking_table(found),
        label_table(found, clean=False),
        mixture_table(found),
        licence_table(found),
    )
    return [table for table in every if table[1]]


def _share(counts: dict[str, int]) -> str:
    records, leaking = counts["records"], counts["leaking"]
    return f"{leaking:,} ({leaking / records:.1%})" if records else "no record"
