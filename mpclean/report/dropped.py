"""What each rule dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.report.base import Block, Context, Table

#: Ids that stand for all of a reason.
SHOWN = 3


def blocks(context: Context) -> Iterator[Block]:
    """A table of rules and reasons."""
    ledger = context.release.ledger()
    read = context.release.manifest["stages"][0]["left"]
    yield Table(
        "What left, by rule and reason. Every record is in the ledger, with what was found in it.",
        ["rule", "reason", "records", "share of all read", "such as"],
        [
            [rule, reason, f"{rows.num_rows:,}", f"{rows.num_rows / read:.2%}", _some(rows["material_id"])]
            for rule, reason, rows in by_reason(ledger)
        ],
        words=("rule", "reason", "such as"),
    )


def by_reason(ledger: pa.Table) -> Iterator[tuple[str, str, pa.Table]]:
    """Rule, reason and rows of every reason of a ledger, in the order in which they first occur."""
    reasons = ledger.select(["rule", "reason"]).group_by(["rule", "reason"], use_threads=False).aggregate([])
    for entry in reasons.to_pylist():
        same = pc.and_(pc.equal(ledger["rule"], entry["rule"]), pc.equal(ledger["reason"], entry["reason"]))
        yield entry["rule"], entry["reason"], ledger.filter(same)


def _some(ids: pa.ChunkedArray) -> str:
    return ", ".join(ids.drop_null().slice(0, SHOWN).to_pylist())
