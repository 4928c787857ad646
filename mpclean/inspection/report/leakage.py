"""What the audit found: what the splits leak, and labels that are worth a look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mpclean.crystal.similarity.levels import LEVELS
from mpclean.inspection.audit import Audit
from mpclean.inspection.audit.tables import label_table, leakage_table, mixture_table
from mpclean.inspection.report.base import Block, Context, Plot, Table, Text, fold_splits
from mpclean.inspection.report.style import PANEL, SEQUENTIAL, axes, short


def blocks(context: Context) -> Iterator[Block]:
    """Yield how much of test is similar to train, by split and level, as a picture and a table."""
    found = context.audit
    yield _heat_map(found)
    head, rows = leakage_table(found)
    for some, folded in fold_splits(rows, len(found.leakage)):
        yield Table(
            "Records of one part of a split that have a similar record in another one, by level of "
            "similarity; a level is kept apart where the split promises so.",
            head,
            some,
            words=("split", "equal in", "kept apart"),
            folded=folded,
        )
    for split, level in found.broken:
        yield Text(f"The split {split} leaks at the level {level}, which it promises to keep apart.")


def labels(context: Context) -> Iterator[Block]:
    """Yield suspicious labels, and energies of several kinds."""
    head, rows = label_table(context.audit)
    yield Table(
        "Checks of the labels: each names records to look at, and excludes none.",
        head,
        rows,
        words=("suspicious", "such as"),
    )
    head, rows = mixture_table(context.audit)
    if rows:
        yield Table(
            "Formation energies of several kinds in one release, which may not be comparable.",
            head,
            rows,
            words=("energies mix", "value", "such as"),
        )


def _heat_map(found: Audit) -> Plot:
    splits, levels = list(found.leakage), list(LEVELS)
    share = np.array(
        [
            [test["leaking"] / test["records"] if test["records"] else np.nan for test in tests]
            for tests in ([found.leakage[split][level]["test"] for level in levels] for split in splits)
        ]
    )
    figure, axis = axes(1.75 * PANEL, 1.0 + 0.36 * len(splits))
    axis.grid(visible=False)
    axis.imshow(100 * share, cmap=SEQUENTIAL, vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        if not np.isnan(value):
            promised = levels[j] in found.keeps_apart[splits[i]]
            words = f"{100 * value:.1f}" + ("*" if promised else "")
            ink = "white" if value < 0.5 else "black"
            axis.text(j, i, words, ha="center", va="center", color=ink, fontsize=9)
    axis.set_xticks(
        range(len(levels)),
        [LEVELS[name].title.replace(" (", "\n(").replace(" and ", "\nand ") for name in levels],
    )
    axis.set_yticks(range(len(splits)), [short(split) for split in splits])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xlabel("of test with a similar record in train (%)")
    pairs = [
        f"{split}: "
        + ", ".join(
            f"{LEVELS[name].title} {100 * value:.1f} %"
            for name, value in zip(levels, row, strict=True)
            if not np.isnan(value)
        )
        for split, row in zip(splits, share, strict=True)
    ]
    return Plot(
        "leakage",
        "Leakage into test",
        (
            "Share of the test records that have a similar record in train, in percent: a row for every "
            "split, a column for every level of similarity. With an asterisk: the split promises that it is "
            "zero.",
        ),
        "Heat map. " + "; ".join(pairs) + ".",
        figure,
        "wide",
    )
