"""How many records each rule left."""

from __future__ import annotations

from collections.abc import Iterator

from mpclean.inspection.report.base import Block, Context, Plot, Table
from mpclean.inspection.report.style import DROPPED, KEPT, PANEL, axes, short
from mpclean.release.tables import funnel_rows


def blocks(context: Context) -> Iterator[Block]:
    """A bar for every stage, and the table of them."""
    manifest = context.release.manifest
    stages = manifest["stages"]
    first = stages[0]["left"]
    place = range(len(stages))
    left = [stage["left"] for stage in stages]
    dropped = [stage["dropped"] or 0 for stage in stages]

    figure, axis = axes(PANEL, 0.6 + 0.32 * len(stages))
    axis.barh(place, left, color=KEPT, height=0.7)
    axis.barh(place, dropped, left=left, color=DROPPED, height=0.7, hatch="////", edgecolor="white")
    for row, (n_left, n_dropped) in enumerate(zip(left, dropped, strict=True)):
        words = f"{n_left:,}" + (f"  (\N{MINUS SIGN}{n_dropped:,})" if n_dropped else "")
        axis.text(n_left + n_dropped + 0.012 * first, row, words, va="center", fontsize=9)
    axis.set_yticks(place, [short(stage["title"]) for stage in stages])
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.45 * first), xlabel="records", xticks=[])
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    yield Plot(
        "funnel",
        "Records left after each stage",
        (
            "Solid: what is left. Hatched: what the stage took away, all of which is in the ledger. "
            "The last line counts the insulators among the records that were kept.",
        ),
        "Bars of records left: " + "; ".join(f"{stage['title']} {stage['left']:,}" for stage in stages) + ".",
        figure,
        "half",
    )
    head, rows = funnel_rows(manifest)
    published = " Beside them the published counts of this version." if len(head) > 3 else ""
    yield Table(f"Records left and dropped by stage.{published}", head, rows, words=("stage",), shape="half")
