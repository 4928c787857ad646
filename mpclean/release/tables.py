"""Counts and statistics of a build, beside what was published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from mpclean.release.manifest import AddedSplit, Manifest
from mpclean.vocabulary.labels import column_of, own_names
from mpclean.vocabulary.schema import PARTS, SOURCE_LABELS, TARGETS
from mpclean.vocabulary.text import markdown, printable

#: Heads of columns, and rows with a cell for each.
Table = tuple[list[str], list[list[Any]]]

#: A name as code of Markdown.
_CODE = re.compile("`[A-Za-z0-9._-]+`")

# Heads of columns that hold words; all others hold numbers.
_WORDS = (
    *("stage", "split", "target", "unit", "column", "meaning", "published list", "what", "value"),
    *(
        "duplicates",
        "key",
        "added split",
        "how it was made",
        "equal in",
        "energies mix",
        "licence",
        "kept apart",
        "suspicious",
        "difference",
        "such as",
    ),
    *("name", "model", "measured on", "error", "setting"),
    *("version", "release", "sources", "what is published", "title", "published count", "file", "sha256"),
)


def target_statistics(
    labels: pa.Table, names: Sequence[str] = (*TARGETS, *SOURCE_LABELS)
) -> dict[str, dict[str, Any]]:
    """Count, mean and population standard deviation of every target.

    Parameters
    ----------
    labels
        Table with target columns and ``is_insulator``. The band gap is that of insulators,
        as in the paper's task.
    names
        The targets; those that the table does not have are passed over.

    Returns
    -------
    For each target that has a value ``{"count", "mean", "std"}``, in its unit of the vocabulary.
    """
    statistics = {}
    for name in names:
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


#: What StructureMatcher says of two records, by the value of ``structures_match``: its name in the
#: manifest, and in tables.
VERDICTS = {
    True: ("equal", "equal structures"),
    False: ("distinct", "distinct phases"),
    None: ("undecided", "beyond what is compared"),
}

#: Examples of each verdict that a manifest names.
_EXAMPLES = 5


def merge_statistics(excluded: Iterable[tuple[str, pa.Table]]) -> dict[str, Any]:
    """Tell what becomes of records that share formula and space group with one of lower energy.

    Parameters
    ----------
    excluded
        Names of `mpclean.rules.duplicate.Dedup` with the rows of the ledger
        (`mpclean.vocabulary.schema.LEDGER`) that each of these rules would write; one of them did. They are
        taken one after the other, as all of them take more memory than the keys of a source.

    Returns
    -------
    ``excluded``, how many records each of the rules excludes; and ``verdicts`` of
    `mpclean.crystal.similarity.matching`
    on those of the rule ``key``, each and the record that is kept for it. There are, of ``equal``,
    ``distinct`` and ``undecided`` ones, the number of ``records``, ``median`` and
    ``percentile_90`` of the energy differences that are known, eV/atom, None where none is, and
    ``examples``: rows of the ledger from the smallest difference to the largest, evenly.
    """
    found: dict[str, Any] = {"excluded": {}}
    for name, rows in excluded:
        found["excluded"][name] = rows.num_rows
        if name == "key":
            found["verdicts"] = _verdicts(rows)
        del rows
    return found


def _verdicts(rows: pa.Table) -> dict[str, Any]:
    ranked = pc.sort_indices(
        rows, sort_keys=[("energy_difference", "ascending"), ("material_id", "ascending")]
    )
    said = rows["structures_match"].take(ranked)
    meant = {True: said, False: pc.invert(said), None: said.is_null()}
    return {name: _verdict(rows, ranked.filter(meant[value])) for value, (name, _) in VERDICTS.items()}


def _verdict(ledger: pa.Table, rows: pa.Array) -> dict[str, Any]:
    energies = ledger["energy_difference"].take(rows).drop_null().to_numpy()
    known = len(energies) or len(rows)  # those without an energy come last
    chosen = np.unique(np.linspace(0, known - 1, min(_EXAMPLES, known)).astype(np.int64))
    examples = ledger.select(["material_id", "kept_id", "detail", "energy_difference"]).take(
        rows.take(pa.array(chosen))
    )
    median, percentile_90 = np.percentile(energies, [50, 90]).tolist() if len(energies) else (None, None)
    return {
        "records": len(rows),
        "median": median,
        "percentile_90": percentile_90,
        "examples": examples.to_pylist(),
    }


def merge_rows(manifest: Manifest) -> Table:
    """Head and rows of the table of records with the key of a lower one, by the matcher's verdict.

    The example is the middle one. No rows where there are no such records.
    """
    verdicts = manifest.duplicates.verdicts if manifest.duplicates else {}
    rows = []
    for name, title in VERDICTS.values():
        if name in verdicts and verdicts[name].records:
            found = verdicts[name]
            example = found.examples[len(found.examples) // 2]
            spread = ("" if n is None else f"{n:.3f}" for n in (found.median, found.percentile_90))
            pair = f"{example.material_id} and {example.kept_id}"
            rows.append([title, f"{found.records:,}", *spread, pair, example.detail])
    head = ["duplicates", "records", "median eV/atom", "90th percentile"]
    return [*head, "such as", "key"], rows


def merge_note(manifest: Manifest) -> str:
    """Say what a reader of the table of duplicates must know, in a sentence."""
    if manifest.duplicates is None:
        return ""
    by_key, by_structure = (manifest.duplicates.excluded[name] for name in ("key", "structure"))
    if manifest.parameters.dedup == "structure":
        more = by_key - by_structure
        return f"Only those with equal structures were excluded; the key would exclude {more:,} more."
    return f"All of them were excluded; --rule dedup=structure would keep {by_key - by_structure:,}."


def funnel_rows(manifest: Manifest) -> Table:
    """Head and rows of the table of stages: records kept after each rule, beside the published ones."""
    published = manifest.upstream.published.stages
    head = ["stage", "kept", "excluded", "published"][: 4 if published else 3]
    rows = []
    for stage in manifest.stages:
        if stage.name == "insulators" and not stage.kept:  # as where no band gap is known
            continue
        row = [
            stage.title,
            f"{stage.kept:,}",
            f"{stage.excluded:,}" if stage.excluded is not None else "",
        ]
        rows.append([*row, f"{published[stage.name]:,}" if stage.name in published else ""][: len(head)])
    return head, rows


def split_rows(manifest: Manifest) -> Table:
    """Head and rows of the table of splits."""
    published = manifest.upstream.published.splits
    head = ["split", "records", "published"][: 3 if published else 2]
    rows = [
        [name, f"{manifest.splits[name]:,}", f"{published.get(name, 0):,}"][: len(head)] for name in PARTS
    ]
    return head, rows


def more_split_rows(manifest: Manifest) -> Table:
    """Head and rows of the table of the splits that were added."""
    rows = [
        [f"`{name}`", described(entry), *(f"{entry.splits[split]:,}" for split in PARTS)]
        for name, entry in sorted(manifest.more_splits.items())
    ]
    return ["added split", "how it was made", *PARTS], rows


def described(entry: AddedSplit) -> str:
    """How an added split was made, in a sentence, from its entry of ``more_splits``."""
    given = {name: value for name, value in sorted(entry.parameters.items()) if value is not None}
    options = [f"{name} {_words(value)}" for name, value in given.items()]
    apart = ", ".join(entry.keeps_apart)
    return "; ".join([f"strategy {entry.strategy}", *options, *([f"keeps apart: {apart}"] if apart else [])])


def _words(value: Any) -> str:
    return " / ".join(f"{share:g}" for share in value) if isinstance(value, list) else str(value)


def target_rows(manifest: Manifest) -> Table:
    """Make the table of targets: count, mean and standard deviation, beside the published ones."""
    published = manifest.upstream.published.statistics
    head = ["target", "unit", "records", "mean", "standard deviation"]
    head += ["published mean", "published standard deviation"] if published else []
    rows = []
    for name in (*TARGETS, *SOURCE_LABELS, *own_names(manifest.labels)):
        if name not in manifest.statistics:
            continue
        values = manifest.statistics[name]
        label = name + (" (insulators)" if name == "band_gap" else "")
        row = [
            label,
            column_of(name, manifest.labels).unit,
            f"{values.count:,}",
            f"{values.mean:.3f}",
            f"{values.std:.3f}",
        ]
        rows.append([*row, *(f"{number:.2f}" for number in published.get(name, ()))])
    return head, rows


def replay_rows(manifest: Manifest) -> Table:
    """Head and rows of the table of a replay: what became of the ids of the published list."""
    head = ["published list", "ids", "share"]
    if (replay := manifest.replay) is None:
        return head, []
    on_list = {
        "on the list": replay.listed,
        "agree: on the list and kept": replay.agree,
        **{
            "missing: " + (f"{way.rule}, " if way.rule else "") + way.reason: way.ids
            for way in replay.missing
        },
    }
    rows = [[label, f"{count:,}", f"{count / replay.listed:.1%}"] for label, count in on_list.items()]
    rows += [
        ["extra: kept by the rules, not on the list", f"{replay.extra:,}", ""],
        ["of these with one atom in the cell", f"{replay.one_atom.extra:,}", ""],
    ]
    return head, rows


def replay_notes(manifest: Manifest) -> list[str]:
    """Say what a reader of the table of a replay must know; nothing without a published list."""
    if manifest.replay is None:
        return []
    upstream, limit = manifest.upstream, manifest.parameters.limit
    one_atom = manifest.replay.one_atom
    stated = ", ".join(upstream.stated_versions) or "no version"
    duplicates = upstream.published.stages["duplicate"]
    notes = [
        f"One-atom cells: {one_atom.agree + one_atom.extra:,} pass the paper's rules, but its authors "
        f"downloaded cells of more than one site only. {one_atom.extra:,} are extra and excluded by the rule "
        f"split; {one_atom.agree:,} are on the list, as a larger cell, and kept.",
        "With the formula of the source's own cell in the key, the rule duplicate would keep "
        f"{manifest.kept_by_source_formula:,} records; published are {duplicates:,}.",
        f"The source states {stated}; {upstream.claimed_version} is claimed.",
    ]
    if limit is not None:
        notes.append(f"Only {limit:,} records were read: no count compares with a published one.")
    return notes


def coverage(manifest: Manifest) -> str | None:
    """How much of a version another one still has, in a sentence; None for a build that did not ask it."""
    listed = manifest.parameters.listed
    if listed is None:
        return None
    upstream, served = manifest.upstream, manifest.stages[0].kept
    return (
        f"Not version {upstream.claimed_version}, but its {listed:,} published ids as version "
        f"{', '.join(upstream.stated_versions)} has them: {served:,} ({served / listed:.1%}) were read."
    )


def render(table: Table, style: str = "simple", width: int | None = None) -> str:
    """Render a table as text.

    Parameters
    ----------
    table
        Heads of the columns, and rows.
    style
        ``simple`` for a terminal, ``github`` for Markdown or ``html`` for a notebook.
    width
        Columns of the terminal; of this one by default, and 80 where the text goes to a file. Heads
        and cells fold between words to fit it.
    """
    head, rows = table
    align = ["left" if name in _WORDS else "right" for name in head]
    shown = [[printable(cell) if isinstance(cell, str) else str(cell) for cell in row] for row in rows]
    shown = [
        row + [""] * (len(head) - len(row)) for row in shown
    ]  # a row may end where it has no more to say
    if style == "github":  # names of columns and splits, which are checked, stand there as code
        shown = [[cell if _CODE.fullmatch(cell) else markdown(cell) for cell in row] for row in shown]
    if style == "simple":
        head, shown = _folded(head, shown, width or get_terminal_size((80, 24)).columns)
    return tabulate(
        shown, headers=head, tablefmt=style, colalign=align if rows else None, disable_numparse=True
    )


#: Spaces between two columns of the style ``simple``, and those that tabulate gives a head beyond its words.
_GAP = _HEAD = 2

#: A word longer than this, as a hash or an address, is broken where a table is too wide.
_LONGEST_WORD = 24


def _folded(head: list[str], rows: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Fold heads and cells between words until the table fits, or can shrink no more."""
    columns = [[row[k] for row in rows] for k in range(len(head))]
    least = [
        max(_HEAD + _longest(name.split()), min(_longest(" ".join(column).split()), _LONGEST_WORD))
        for name, column in zip(head, columns, strict=True)
    ]
    widths = [max(_HEAD + len(name), _longest(column)) for name, column in zip(head, columns, strict=True)]
    room = width - _GAP * (len(head) - 1)
    while sum(widths) > room:
        # The widest of those that can shrink gives way first, so that short columns stay in one line.
        can = [k for k, (have, need) in enumerate(zip(widths, least, strict=True)) if have > need]
        if not can:
            break
        widths[max(can, key=widths.__getitem__)] -= 1
    return (
        [_fold(name, size - _HEAD) for name, size in zip(head, widths, strict=True)],
        [[_fold(cell, size) for cell, size in zip(row, widths, strict=True)] for row in rows],
    )


def _longest(words: list[str]) -> int:
    return max(map(len, words), default=0)


def _fold(text: str, size: int) -> str:
    return "\n".join(wrap(text, size, break_on_hyphens=False)) if len(text) > size else text
