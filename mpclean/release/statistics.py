"""Counts and statistics of a build, beside what was published."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from mpclean.release.manifest import Manifest
from mpclean.schema import COLUMNS, SOURCE_LABELS, SPLITS, TARGETS

# Heads of columns that hold words; all others hold numbers.
_WORDS = (
    *("stage", "split", "target", "unit", "column", "meaning", "published list", "what", "value"),
    *(
        "added split",
        "how it was made",
        "alike to train in",
        "kept apart",
        "suspicious",
        "difference",
        "such as",
    ),
    *("version", "release", "sources", "what is published", "title", "published count", "file", "sha256"),
)


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


def more_split_rows(manifest: Manifest) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of the table of the splits that were added."""
    rows = [
        [f"`{name}`", described(entry), *(f"{entry['splits'][split]:,}" for split in SPLITS)]
        for name, entry in sorted(manifest.get("more_splits", {}).items())
    ]
    return ["added split", "how it was made", *SPLITS], rows


def described(entry: dict[str, Any]) -> str:
    """How an added split was made, in a sentence, from its entry of ``more_splits``."""
    options = [f"{name} {_words(value)}" for name, value in sorted(entry["parameters"].items())]
    apart = ", ".join(entry["keeps_apart"])
    return "; ".join(
        [f"strategy {entry['strategy']}", *options, *([f"keeps apart: {apart}"] if apart else [])]
    )


def _words(value: Any) -> str:
    return " / ".join(f"{share:g}" for share in value) if isinstance(value, list) else str(value)


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


def replay_rows(manifest: Manifest) -> tuple[list[str], list[list[Any]]]:
    """Head and rows of the table of a replay: what became of the ids of the published list."""
    replay = manifest["replay"]
    on_list = {
        "on the list": replay["listed"],
        "agree: on the list and kept": replay["agree"],
        **{
            "missing: " + (f"{way['rule']}, " if way["rule"] else "") + way["reason"]: way["ids"]
            for way in replay["missing"]
        },
    }
    rows = [[label, f"{count:,}", f"{count / replay['listed']:.1%}"] for label, count in on_list.items()]
    rows += [
        ["extra: kept by the rules, not on the list", f"{replay['extra']:,}", ""],
        ["of these with one atom in the cell", f"{replay['one_atom']['extra']:,}", ""],
    ]
    return ["published list", "ids", "share"], rows


def replay_notes(manifest: Manifest) -> list[str]:
    """What a reader of the table of a replay must know, in sentences."""
    upstream, limit = manifest["upstream"], manifest["parameters"]["limit"]
    one_atom = manifest["replay"]["one_atom"]
    stated = ", ".join(upstream["stated_versions"]) or "no version"
    duplicates = upstream["published"]["stages"]["duplicate"]
    notes = [
        f"One-atom cells: {one_atom['agree'] + one_atom['extra']:,} pass the paper's rules, but its authors "
        f"downloaded cells of more than one site only. {one_atom['extra']:,} are extra and leave by the rule "
        f"split; {one_atom['agree']:,} are on the list, as a larger cell, and stay.",
        "With the formula of the source's own cell in the key, the rule duplicate would leave "
        f"{manifest['left_by_source_formula']:,} records; published are {duplicates:,}.",
        f"The source states {stated}; {upstream['claimed_version']} is claimed.",
    ]
    if limit is not None:
        notes.append(f"Only {limit:,} records were read: no count compares with a published one.")
    return notes


def coverage(manifest: Manifest) -> str | None:
    """How much of a version another one still has, in a sentence; None for a build that did not ask it."""
    listed = manifest["parameters"].get("listed")
    if listed is None:
        return None
    upstream, served = manifest["upstream"], manifest["stages"][0]["left"]
    return (
        f"Not version {upstream['claimed_version']}, but its {listed:,} published ids as version "
        f"{', '.join(upstream['stated_versions'])} has them: {served:,} ({served / listed:.1%}) were read."
    )


def render(table: tuple[list[str], list[list[Any]]], style: str = "simple") -> str:
    """A table as text for a terminal (``simple``) or as Markdown (``github``)."""
    head, rows = table
    align = ["left" if name in _WORDS else "right" for name in head]
    return tabulate(
        rows, headers=head, tablefmt=style, colalign=align if rows else None, disable_numparse=True
    )
