"""What each rule excluded, with crystals to look at."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.inspection.report.base import Block, Context, Heading, Table, Text
from mpclean.inspection.report.crystals import plot

#: Ids that stand for all of a reason.
SHOWN = 3

#: Reasons that have a line of their own; a rule has a handful.
MOST_REASONS = 60


def blocks(context: Context) -> Iterator[Block]:
    """Yield a table of rules and reasons, and drawings; duplicates have a section of their own."""
    release = context.release
    ledger = release.ledger()
    if not ledger.num_rows:
        yield Text("Nothing: every record that was read is in the release.")
        return
    read = release.manifest.stages[0].kept
    reasons = _reasons(ledger)
    yield Table(
        "Excluded records by rule and reason. Each is in the ledger, with what was found in it.",
        ["rule", "reason", "records", "share of all read", "such as"],
        [
            [rule, reason, f"{rows.num_rows:,}", f"{rows.num_rows / read:.2%}", _some(rows["material_id"])]
            for rule, reason, rows in reasons
        ],
        words=("rule", "reason", "such as"),
    )
    examples = release.examples()
    number = 0
    for rule, reason, rows in reasons:
        same = pc.and_(pc.equal(examples["rule"], rule), pc.equal(examples["reason"], reason))
        drawn = [] if rule == "duplicate" else examples.filter(same).to_pylist()
        if drawn:
            yield Heading(f"{rule}: {reason}")
        ids = pa.array([row["material_id"] for row in drawn], pa.string())
        details = rows.filter(pc.is_in(rows["material_id"], ids))
        found = dict(zip(details["material_id"].to_pylist(), details["detail"].to_pylist(), strict=True))
        for row in drawn:
            number += 1
            yield plot(f"excluded-{number:02d}", row, found[row["material_id"]] or "")


def _reasons(ledger: pa.Table) -> list[tuple[str, str, pa.Table]]:
    """Give rule, reason and rows of every reason of a ledger, in the order in which they first occur."""
    keys = ledger.select(["rule", "reason"]).group_by(["rule", "reason"], use_threads=False).aggregate([])
    found = []
    for key in keys.slice(0, MOST_REASONS).to_pylist():
        same = pc.and_(pc.equal(ledger["rule"], key["rule"]), pc.equal(ledger["reason"], key["reason"]))
        found.append((key["rule"], key["reason"], ledger.filter(same)))
    return found


def _some(ids: pa.ChunkedArray) -> str:
    return ", ".join(ids.drop_null().slice(0, SHOWN).to_pylist())
