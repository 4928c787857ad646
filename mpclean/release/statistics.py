"""Counts and statistics of a build, beside what was published."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from mpclean.release.manifest import Manifest
from mpclean.schema import COLUMNS, SOURCE_LABELS, SPLITS, TARGETS

# Heads of columns that hold words; all others hold numbers.
_WORDS = ("stage", "split", "target", "unit", "column", "meaning")


def target_statistics(labels: pa.Table) -> dict[str, dict[str, Any]]:
    """Count, mean and population deviation of every target.

    Parameters
    ----------
    labels
        Table with target columns and ``is_insulator``. The band gap is that of insulators,
        as in the paper's task.

    Returns
    -------
    For each target that has a value ``{"count", "mean", "std"}``, in its unit of the vocabulary.
    """
    statistics = {}
    for name in (*TARGETS, *SOURCE_LABELS):
        if name not in labels.schema.names:
            continue
        values = labels[name]
        if name == "band_gap":
            values = values.filter(pc.fill_null(labels["is_insulator"], False))
        count = len(values) - values.null_count
        if count:
            statistics[name] = {
                "count": count,
                "mean": float(pc.mean(values).as_py()),
                "std": float(pc.stddev(values).as_py()),
            }
    return statistics


def funnel_rows(manifest: Manifest) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of the table of stages: records left after each rule, beside the published ones."""
    published = manifest["upstream"]["published"].get("stages", {})
    head = ["stage", "left", "dropped", "published"][: 4 if published else 3]
    rows = []
    for stage in manifest["stages"]:
        row = [
            stage["title"],
            f"{stage['left']:,}",
            f"{stage['dropped']:,}" if stage["dropped"] is not None else "",
        ]
        rows.append(
            [*row, f"{published[stage['name']]:,}" if stage["name"] in published else ""][: len(head)]
        )
    return head, rows


def split_rows(manifest: Manifest) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of the table of splits."""
    published = manifest["upstream"]["published"].get("splits", {})
    head = ["split", "records", "published"][: 3 if published else 2]
    rows = [
        [name, f"{manifest['splits'][name]:,}", f"{published.get(name, 0):,}"][: len(head)] for name in SPLITS
    ]
    return head, rows


def target_rows(manifest: Manifest) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of the table of targets: count, mean and deviation, beside the published ones."""
    published = manifest["upstream"]["published"].get("statistics", {})
    head = ["target", "unit", "records", "mean", "deviation", "published mean", "published deviation"]
    head = head[: 7 if published else 5]
    rows = []
    for name in (*TARGETS, *SOURCE_LABELS):
        if name not in manifest["statistics"]:
            continue
        values = manifest["statistics"][name]
        label = name + (" (insulators)" if name == "band_gap" else "")
        row = [
            label,
            COLUMNS[name].unit,
            f"{values['count']:,}",
            f"{values['mean']:.3f}",
            f"{values['std']:.3f}",
        ]
        rows.append([*row, *(f"{number:.2f}" for number in published.get(name, ()))])
    return head, rows


def render(table: tuple[list[str], list[list[Any]]], style: str = "simple") -> str:
    """A table as text for a terminal (``simple``) or as Markdown (``github``)."""
    head, rows = table
    align = ["left" if name in _WORDS else "right" for name in head]
    return tabulate(
        rows, headers=head, tablefmt=style, colalign=align if rows else None, disable_numparse=True
    )
