"""Where a release comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mpclean.inspection.report.base import Block, Context, Table, Text
from mpclean.release import Release
from mpclean.release.tables import coverage, replay_notes, replay_rows
from mpclean.vocabulary.schema import SOURCE_WORDS

#: Values that have a line of their own; a source states a handful.
MOST_STATED = 60


def blocks(context: Context) -> Iterator[Block]:
    """Yield the source, the licence, parameters, library versions, and a replay beside the published list."""
    manifest = context.release.manifest
    upstream = manifest.upstream
    facts = {
        "content hash": manifest.content_hash,
        "upstream": upstream.title,
        "version claimed": upstream.claimed_version or "none",
        "versions stated by the source": ", ".join(upstream.stated_versions) or "none",
        "source": upstream.source,
        "sha256 of the source": upstream.sha256,
        "licence, as the source states it": upstream.licence,
        "to be cited": upstream.citation,
    }
    yield Table(
        "Identity of the data. The content hash is over the rows of data, their split and the ledger.",
        ["what", "value"],
        [[name, _words(value)] for name, value in facts.items()],
        words=("what", "value"),
    )
    stated = _stated(context.release)
    if stated:
        yield Table(
            "What the source states of the records of the release, one by one.",
            ["what", "value", "records"],
            stated,
            words=("what", "value"),
        )
    if sentence := coverage(manifest):
        yield Text(sentence)
    if manifest.replay:
        head, rows = replay_rows(manifest)
        yield Table("Against the published list.", head, rows, words=("published list",))
        for note in replay_notes(manifest):
            yield Text(note)
    yield Table(
        "Parameters of the build; areas in \N{ANGSTROM SIGN}\N{SUPERSCRIPT TWO}, lengths and tolerances in "
        "\N{ANGSTROM SIGN}.",
        ["parameter", "value"],
        [[name.replace("_", " "), _words(value)] for name, value in manifest.parameters.as_dict().items()],
        words=("parameter", "value"),
        shape="half",
    )
    yield Table(
        "Versions of the libraries that can change a result.",
        ["library", "version"],
        [[name, version] for name, version in manifest.libraries.items()],
        words=("library", "version"),
        shape="half",
    )


def _stated(release: Release) -> list[list[str]]:
    """Count the records of every value of every column of words, the most frequent first."""
    counts: Counter[tuple[str, str | None]] = Counter()
    columns = [name for name in SOURCE_WORDS if name in release.manifest.columns]
    for rows in release.batches(columns=columns) if columns else ():
        for name in columns:
            for entry in rows[name].value_counts().to_pylist():
                counts[name, entry["values"]] += entry["counts"]
    ranked = sorted(counts.items(), key=lambda item: (columns.index(item[0][0]), -item[1], str(item[0][1])))
    return [
        [name.replace("_", " "), "not stated" if value is None else value, f"{count:,}"]
        for (name, value), count in ranked[:MOST_STATED]
    ]


def _words(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
