"""How targets are distributed, and whether the parts of a split are alike in that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.inspection.report.base import Block, Context, Plot, Table, fold_splits
from mpclean.inspection.report.style import PART_STYLES, axes
from mpclean.release import Release
from mpclean.release.tables import described, target_rows
from mpclean.vocabulary.schema import PARTS, Column

#: Bins of a histogram.
BINS = 40

#: A histogram ends this many standard deviations from the mean; what is beyond is counted in its last bins.
REACH = 4.0

#: Where one bin has this share of a part, shares are drawn on a logarithmic scale.
SKEWED = 0.4


def blocks(context: Context) -> Iterator[Block]:
    """Yield a histogram of every target, and the tables of targets and of what each split makes of them."""
    release = context.release
    statistics = release.manifest.statistics
    names = [name for name in (label.name for label in release.labels) if name in statistics]
    for name in names:
        yield _histogram(release, name)
    head, rows = target_rows(release.manifest)
    yield Table(
        "Mean and population standard deviation over the whole release.", head, rows, words=("target", "unit")
    )
    yield from _by_split(release, names)
    more = release.manifest.more_splits
    made = [release.manifest.split.description, *(described(more[name]) for name in sorted(more))]
    yield Table(
        "How the splits were made.",
        ["split", "how it was made"],
        [list(row) for row in zip(release.splits, made, strict=True)],
        words=("split", "how it was made"),
    )


def _title(column: Column) -> str:
    meaning = column.meaning
    return meaning[0].upper() + meaning[1:] + (" (insulators)" if column.name == "band_gap" else "")


def _with_unit(column: Column) -> str:
    unit = column.unit
    return column.name.replace("_", " ") + (f" ({unit})" if unit else "")


def _values(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """Give the known values of a target; the band gap is that of insulators, as in the paper's task."""
    values = rows[name]
    if name == "band_gap":
        values = values.filter(pc.fill_null(rows["is_insulator"], False))
    return values.drop_null().to_numpy()


def _columns(names: list[str]) -> list[str]:
    return [*names, *(["is_insulator"] if "band_gap" in names else [])]


def _histogram(release: Release, name: str) -> Plot:
    known = release.manifest.statistics[name]
    low, high = np.inf, -np.inf
    for rows in release.batches(columns=_columns([name])):
        values = _values(rows, name)
        low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    reach = REACH * known.std
    ends = max(low, known.mean - reach), min(high, known.mean + reach)
    edges = np.linspace(*ends, BINS + 1) if ends[1] > ends[0] else np.linspace(low - 0.5, low + 0.5, BINS + 1)
    counts = {part: np.zeros(BINS) for part in PARTS}
    beyond = 0
    for part in PARTS:
        for rows in release.batches(part, _columns([name])):
            values = _values(rows, name)
            beyond += int(np.count_nonzero((values < edges[0]) | (values > edges[-1])))
            counts[part] += np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]

    figure, axis = axes()
    for part, (colour, line) in PART_STYLES.items():
        total = counts[part].sum()
        if total:
            share = 100.0 * counts[part] / total
            label = f"{part} ({total:,.0f})"
            axis.stairs(share, edges, label=label, color=colour, linestyle=line, linewidth=1.4)
            if part == "train":
                axis.stairs(share, edges, fill=True, color=colour, alpha=0.15)
    axis.set(xlabel=_with_unit(release.column(name)), ylabel="share of the part (%)")
    skewed = max(part.max() / max(part.sum(), 1) for part in counts.values()) > SKEWED
    if skewed:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
    else:
        axis.set_ylim(bottom=0)
    axis.legend()
    notes = " On a logarithmic scale." if skewed else ""
    notes += f" Beyond the ends, and counted in the last bins: {beyond:,}." if beyond else ""
    return Plot(
        f"target-{name}",
        _title(release.column(name)),
        (f"Values in {BINS} bins, in percent of those of each part.{notes}",),
        f"Histogram of {known.count:,} values by part of the split: mean {known.mean:.3f}, standard "
        f"deviation {known.std:.3f}, from {low:.3f} to {high:.3f} {release.column(name).unit}.",
        figure,
    )


def _by_split(release: Release, names: list[str]) -> Iterator[Table]:
    """Yield mean and standard deviation of every target in every part of every split, many of them folded."""
    rows = []
    for strategy in release.splits:
        assigned = release.assigned(strategy)
        ids = assigned["material_id"].combine_chunks()
        part_of = pc.index_in(assigned["split"], value_set=pa.array(PARTS)).combine_chunks()
        n = np.zeros((len(PARTS), len(names)))
        mean, squares = np.zeros_like(n), np.zeros_like(n)
        for batch in release.batches(columns=["material_id", *_columns(names)]):
            part = part_of.take(pc.index_in(batch["material_id"], value_set=ids).combine_chunks())
            for k in range(len(PARTS)):
                chosen = batch.filter(pc.fill_null(pc.equal(part, k), False))
                for j, name in enumerate(names):
                    _add(_values(chosen, name), n, mean, squares, (k, j))
        records = {entry["values"]: entry["counts"] for entry in assigned["split"].value_counts().to_pylist()}
        deviation = np.sqrt(squares / np.maximum(n, 1))
        for k, part_name in enumerate(PARTS):
            cells = [
                f"{mean[k, j]:.3f} \N{PLUS-MINUS SIGN} {deviation[k, j]:.3f}" if n[k, j] else "\N{EN DASH}"
                for j in range(len(names))
            ]
            rows.append([strategy, part_name, f"{records.get(part_name, 0):,}", *cells])
    for some, folded in fold_splits(rows, len(release.splits)):
        yield Table(
            "Records, and mean \N{PLUS-MINUS SIGN} population standard deviation of the targets, in each "
            "part of every split.",
            ["split", "part", "records", *(_with_unit(release.column(name)) for name in names)],
            some,
            words=("split", "part"),
            folded=folded,
        )


def _add(
    values: NDArray[np.float64],
    n: NDArray[np.float64],
    mean: NDArray[np.float64],
    squares: NDArray[np.float64],
    at: tuple[int, int],
) -> None:
    """Take more values into count, mean and sum of squares about it (Chan, Golub & LeVeque 1983)."""
    if not len(values):
        return
    total = n[at] + len(values)
    difference = values.mean() - mean[at]
    squares[at] += np.square(values - values.mean()).sum() + difference**2 * n[at] * len(values) / total
    mean[at] += difference * len(values) / total
    n[at] = total
