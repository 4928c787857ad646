"""Duplicates: how far they are from the record that was kept, and whether they are the same phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.inspection.report.base import Block, Context, Heading, Plot, Table, Text
from mpclean.inspection.report.crystals import COLUMNS, plot
from mpclean.inspection.report.style import BLUE, GREY, RED, axes, whole_numbers
from mpclean.release import Release
from mpclean.release.tables import VERDICTS, merge_note, merge_rows

#: Colour and hatch by the value of ``structures_match``.
_LOOKS = {False: (RED, "////"), True: (BLUE, ""), None: (GREY, "")}

#: Smallest difference that a logarithmic axis shows, meV/atom.
_LEAST = 0.1


def blocks(context: Context) -> Iterator[Block]:
    """Yield the verdicts on duplicates, their energies, and pairs to look at: excluded beside kept."""
    release = context.release
    ledger = release.ledger()
    rows = ledger.filter(pc.equal(ledger["rule"], "duplicate"))
    if not rows.num_rows:
        return
    head, merges = merge_rows(release.manifest)
    if merges:
        yield Table(
            "Records with the formula and space group of one of lower energy, by what pymatgen's "
            "StructureMatcher says of the two, with the differences of their energies.",
            head,
            merges,
            words=("duplicates", "such as", "key"),
            formulas=("key",),
        )
        yield Text(merge_note(release.manifest))
    if rows["energy_difference"].null_count < rows.num_rows:
        yield _energies(rows)
    yield from _pairs(release, rows)


def _by_verdict(rows: pa.Table) -> Iterator[tuple[str, bool | None, pa.Table]]:
    """Sort rows of the ledger by what StructureMatcher says, in words and as its value."""
    if "structures_match" not in rows.column_names:  # built before merges had a verdict
        yield "not compared", None, rows
        return
    said = np.array(rows["structures_match"].to_pylist(), dtype=object)
    for value in _LOOKS:
        if (said == value).any():
            yield VERDICTS[value][1], value, rows.filter(pa.array(said == value))


def _differences(rows: pa.Table) -> NDArray[np.float64]:
    """Give the energy above the record that was kept, meV/atom, where it is known."""
    return 1000 * rows["energy_difference"].drop_null().to_numpy()


def _energies(rows: pa.Table) -> Plot:
    values = _differences(rows)
    edges = np.geomspace(_LEAST, max(float(values.max()), 1.0) * 1.001, 40)
    figure, axis = axes()
    below = np.zeros(len(edges) - 1)
    for title, verdict, part in _by_verdict(rows):
        counts = np.histogram(_differences(part), edges)[0]
        colour, hatch = _LOOKS[verdict]
        label = f"{title} ({part.num_rows:,})"
        axis.stairs(below + counts, edges, baseline=below, fill=True, facecolor=colour, hatch=hatch,
                    edgecolor="white", linewidth=0, label=label)  # fmt: skip
        below = below + counts
    axis.set(
        xscale="log",
        xlabel="formation energy above the kept record (meV/atom)",
        ylabel="records",
        ylim=(0, 1.35 * max(below.max(), 1)),
    )
    axis.xaxis.set_major_formatter("{x:g}")
    whole_numbers(axis.yaxis)
    axis.legend(loc="upper left")
    median, most = np.percentile(values, [50, 90])
    return Plot(
        "duplicate-energies",
        "Energies of duplicates",
        (
            f"Median {median:.1f}, 90th percentile {most:.0f} meV/atom; {np.mean(values <= 5):.0%} are "
            f"within 5 meV/atom of the kept record, and {np.count_nonzero(values < _LEAST):,} within "
            f"{_LEAST:g}, which the axis does not reach.",
        ),
        f"Histogram of {len(values):,} differences on a logarithmic axis: median {median:.1f}, 90th "
        f"percentile {most:.0f}, largest {values.max():.0f} meV/atom.",
        figure,
    )


def _pairs(release: Release, rows: pa.Table) -> Iterator[Block]:
    """Yield drawings of examples, each beside the kept record where that is in the release."""
    examples = {row["material_id"]: row for row in release.examples().to_pylist()}
    rows = rows.filter(pc.is_in(rows["material_id"], pa.array(list(examples), pa.string())))
    kept = _crystals(release, rows["kept_id"])
    number = 0
    for title, _, part in _by_verdict(rows) if rows.num_rows else ():
        yield Heading(f"Farthest in energy: {title}")
        for entry in part.to_pylist():
            number += 1
            yield plot(f"duplicate-{number:02d}", examples[entry["material_id"]], *_lines(entry))
            if entry["kept_id"] in kept:
                yield plot(f"duplicate-{number:02d}-kept", kept[entry["kept_id"]], "kept in its place")


def _crystals(release: Release, ids: pa.ChunkedArray) -> dict[str, dict[str, Any]]:
    """Find rows of the release with these ids; an id that a later rule excluded is not among them."""
    found: dict[str, dict[str, Any]] = {}
    for rows in release.batches(columns=COLUMNS) if len(ids) else ():
        chosen = rows.filter(pc.is_in(rows["material_id"], ids.combine_chunks()))
        found |= {row["material_id"]: row for row in chosen.to_pylist()}
    return found


def _lines(entry: dict[str, Any]) -> list[str]:
    lines = [f"excluded for {entry['kept_id']}"]
    if entry["energy_difference"] is not None:
        lines.append(f"{1000 * entry['energy_difference']:,.0f} meV/atom above it")
    return lines
