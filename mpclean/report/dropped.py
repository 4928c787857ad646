"""What each rule dropped, with crystals to look at, and what duplicates differ in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.release import Release
from mpclean.report.base import Block, Context, Heading, Plot, Table, Text
from mpclean.report.crystals import COLUMNS, plot
from mpclean.report.style import DROPPED, axes, whole_numbers

#: Ids that stand for all of a reason.
SHOWN = 3

#: Reasons that have a line of their own; a rule has a handful.
MOST_REASONS = 60


def blocks(context: Context) -> Iterator[Block]:
    """A table of rules and reasons, the energies of duplicates, and drawings of what left."""
    release = context.release
    ledger = release.ledger()
    read = release.manifest["stages"][0]["left"]
    if not ledger.num_rows:
        yield Text("Nothing: every record that was read is in the release.")
        return
    reasons = _reasons(ledger)
    yield Table(
        "What left, by rule and reason. Every record is in the ledger, with what was found in it.",
        ["rule", "reason", "records", "share of all read", "such as"],
        [
            [rule, reason, f"{rows.num_rows:,}", f"{rows.num_rows / read:.2%}", _some(rows["material_id"])]
            for rule, reason, rows in reasons
        ],
        words=("rule", "reason", "such as"),
    )
    examples = release.examples()
    if not examples.num_rows:
        yield Text(
            "No crystal of a record that left is in this release: none could be read, or it was built before "
            "releases had any."
        )
    number = 0
    for rule, reason, rows in reasons:
        same = pc.and_(pc.equal(examples["rule"], rule), pc.equal(examples["reason"], reason))
        chosen = examples.filter(same).to_pylist()
        if not chosen:
            continue
        yield Heading(f"{rule}: {reason}")
        if len(rows["energy_difference"].drop_null()):
            yield from _energies(rows)
        entries = _by_id(rows, [row["material_id"] for row in chosen])
        stayed = _crystals(release, [entry["kept_id"] for entry in entries.values()])
        for row in chosen:
            number += 1
            entry = entries[row["material_id"]]
            yield plot(f"dropped-{number:02d}", row, *_lines(entry))
            if entry["kept_id"] in stayed:
                yield plot(f"dropped-{number:02d}-kept", stayed[entry["kept_id"]], "stayed in its place")


def _reasons(ledger: pa.Table) -> list[tuple[str, str, pa.Table]]:
    """Rule, reason and rows of every reason of a ledger, in the order in which they first occur."""
    keys = ledger.select(["rule", "reason"]).group_by(["rule", "reason"], use_threads=False).aggregate([])
    return [
        (
            key["rule"],
            key["reason"],
            ledger.filter(
                pc.and_(pc.equal(ledger["rule"], key["rule"]), pc.equal(ledger["reason"], key["reason"]))
            ),
        )
        for key in keys.slice(0, MOST_REASONS).to_pylist()
    ]


def _some(ids: pa.ChunkedArray) -> str:
    return ", ".join(ids.drop_null().slice(0, SHOWN).to_pylist())


def _by_id(rows: pa.Table, ids: list[str]) -> dict[str, dict[str, Any]]:
    return {
        row["material_id"]: row
        for row in rows.filter(pc.is_in(rows["material_id"], pa.array(ids))).to_pylist()
    }


def _crystals(release: Release, ids: list[str | None]) -> dict[str, dict[str, Any]]:
    """Rows of the release with these ids, by id; an id that left by a later rule is not among them."""
    wanted = pa.array([name for name in ids if name is not None], pa.string())
    found: dict[str, dict[str, Any]] = {}
    if len(wanted):
        for rows in release.batches(columns=COLUMNS):
            chosen = rows.filter(pc.is_in(rows["material_id"], wanted))
            found |= {row["material_id"]: row for row in chosen.to_pylist()}
    return found


def _lines(entry: dict[str, Any]) -> list[str]:
    if not entry["kept_id"]:
        return [entry["detail"]] if entry["detail"] else []
    lines = [f"left for {entry['kept_id']}"]
    if entry["energy_difference"] is not None:
        lines.append(f"{1000 * entry['energy_difference']:,.0f} meV/atom above it")
    return lines


def _energies(rows: pa.Table) -> Iterator[Block]:
    """How far in energy duplicates are from what stayed."""
    values = 1000 * rows["energy_difference"].drop_null().to_numpy()
    low, high = 0.1, max(float(values.max()), 1.0)
    edges = np.concatenate([[0.0], np.geomspace(low, high, 40)])
    counts, _ = np.histogram(values, edges)
    ranks = np.percentile(values, [50, 90])
    near = np.count_nonzero(values <= 5) / len(values)
    figure, axis = axes()
    axis.stairs(counts[1:], edges[1:], fill=True, color=DROPPED)
    axis.set(
        xscale="log",
        xlabel="formation energy above what stayed (meV/atom)",
        ylabel="records",
        xlim=(low, high),
    )
    axis.xaxis.set_major_formatter("{x:g}")
    whole_numbers(axis.yaxis)
    yield Plot(
        "duplicate-energies",
        "Energies of duplicates",
        (
            f"Median {ranks[0]:.1f}, 90th percentile {ranks[1]:.0f} meV/atom; {near:.0%} are within 5 "
            f"meV/atom of what stayed, and {counts[0]:,} within {low:g}, left of the axis. The farthest ones "
            "are drawn, each beside the one that stayed where that is in the release.",
        ),
        f"Histogram of {len(values):,} differences on a logarithmic axis: median {ranks[0]:.1f}, 90th "
        f"percentile {ranks[1]:.0f}, largest {values.max():.0f} meV/atom.",
        figure,
    )
