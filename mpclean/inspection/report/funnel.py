"""How many records each rule kept."""

from __future__ import annotations

from collections.abc import Iterator

from mpclean.inspection.report.base import Block, Context, Plot, Table
from mpclean.inspection.report.style import EXCLUDED, KEPT, PANEL, axes, short
from mpclean.release.tables import funnel_rows


def blocks(context: Context) -> Iterator[Block]:
    """Yield a bar for every stage, and the table of them."""
    manifest = context.release.manifest
    stages = manifest.stages
    first = stages[0].kept
    place = range(len(stages))
    kept = [stage.kept for stage in stages]
    excluded = [stage.excluded or 0 for stage in stages]

    figure, axis = axes(1.33 * PANEL, 0.7 + 0.36 * len(stages))
    axis.barh(place, kept, color=KEPT, height=0.7)
    axis.barh(place, excluded, left=kept, color=EXCLUDED, height=0.7, hatch="////", edgecolor="white")
    for row, (n_kept, n_excluded) in enumerate(zip(kept, excluded, strict=True)):
        words = f"{n_kept:,}" + (f"  (\N{MINUS SIGN}{n_excluded:,})" if n_excluded else "")
        axis.text(n_kept + n_excluded + 0.012 * first, row, words, va="center", fontsize=9)
    axis.set_yticks(place, [short(stage.title) for stage in stages])
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.45 * first), xlabel="records", xticks=[])
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    yield Plot(
        "funnel",
        "Records kept after each stage",
        (
            "Solid: kept. Hatched: excluded by the stage; all of them are in the ledger. "
            "The last line counts the insulators among the records that were kept.",
        ),
        "Bars of records kept: " + "; ".join(f"{stage.title} {stage.kept:,}" for stage in stages) + ".",
        figure,
        "half",
    )
    head, rows = funnel_rows(manifest)
    published = " Beside them the published counts of this version." if len(head) > 3 else ""
    yield Table(f"Records kept and excluded by stage.{published}", head, rows, words=("stage",), shape="half")
