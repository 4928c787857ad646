"""Whether the tables of a release are what they should be, and agree with one another and the manifest.

Hashes say that no byte changed since a release was written. They do not say that what was written is a
release: a table of another program, or one that was edited and hashed again, is found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.errors import UserError
from mpclean.release.layout import EXAMPLES, LEDGER, LISTED, split_table
from mpclean.vocabulary.checks import Violation, repeated, report, violations
from mpclean.vocabulary.labels import own_names
from mpclean.vocabulary.schema import COLUMNS, EXAMPLE, PARTS, RELEASE, SINCE_FORMAT, SPLIT
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA

if TYPE_CHECKING:
    from mpclean.release.reader import Release


def structural_problems(release: Release) -> list[str]:
    """One line for each table of a release that is not as it should be; none if all are.

    Parameters
    ----------
    release
        A release whose files are those that its manifest lists.
    """
    try:
        return list(_problems(release))
    except UserError as error:  # a table that cannot be read at all
        return [str(error)]


def _problems(release: Release) -> Iterator[str]:
    manifest = release.manifest
    columns = manifest.columns
    unknown = [name for name in columns if name not in (*COLUMNS, *own_names(manifest.labels))]
    older = [name for name, since in SINCE_FORMAT.items() if since > manifest.format_version]
    missing = [name for name in RELEASE.names if name not in (*columns, *older)]
    if unknown or missing:
        words = [f"{name} is no column" for name in unknown] + [f"{name} is missing" for name in missing]
        yield f"manifest.json: columns: {', '.join(words)}"
        return

    ids = {}
    for split in PARTS:
        files = sorted(name for name in manifest.files if name.startswith(f"data/{split}-"))
        found, ids[split] = _rows(release, files)
        if found:
            yield report(f"data/{split}", found)
        if len(ids[split]) != manifest.splits[split]:
            yield f"data/{split}: {len(ids[split]):,} rows, and {manifest.splits[split]:,} in the manifest"
    kept = pa.chunked_array([chunk for part in ids.values() for chunk in part.chunks], pa.string())
    if found := repeated(kept):
        yield report("data", found)
    built, *_ = release.splits
    yield from _split_problems(release, built, kept, ids)
    for strategy, entry in sorted(manifest.more_splits.items()):
        parts = {}
        for part, rows in entry.rows.items():
            found, parts[part] = _rows(release, rows.files)
            if found:
                yield report(f"{part} of the split {strategy}", found)
        yield from _split_problems(release, strategy, kept, parts)

    ledger = release.ledger()
    if found := violations(ledger, LEDGER_SCHEMA):
        yield report(LEDGER, found)
    elif found := _strangers(
        ledger["kept_id"].drop_null(), pa.chunked_array([*kept.chunks, *ledger["material_id"].chunks])
    ):
        yield report(LEDGER, [replace(violation, column="kept_id") for violation in found])
    read = manifest.stages[0].kept
    if len(kept) + ledger.num_rows != read:
        yield f"{LEDGER}: {len(kept):,} records kept and {ledger.num_rows:,} left, of {read:,} that were read"
    if found := violations(release.examples(), EXAMPLE):
        yield report(EXAMPLES, found)
    if LISTED in manifest.files and (found := violations(release.listed(), SPLIT)):
        yield report(LISTED, found)


def _split_problems(
    release: Release, strategy: str, kept: pa.ChunkedArray, rows: dict[str, pa.ChunkedArray]
) -> Iterator[str]:
    """Find what is wrong with the table of a split, beside the kept ids and those of its rows by part."""
    assigned = release.assigned(strategy)
    name = split_table(strategy)
    if found := violations(assigned, SPLIT):
        yield report(name, found)
        return
    if found := [*repeated(assigned["material_id"]), *_strangers(assigned["material_id"], kept)]:
        yield report(name, found)
    for part in PARTS:
        listed = assigned["material_id"].filter(pc.equal(assigned["split"], part))
        there = rows.get(part, listed.slice(0, 0))
        if len(listed) != len(there) or _strangers(there, listed):
            yield f"{name}: its part {part} is not what the rows of that part are"


def _rows(release: Release, files: list[str]) -> tuple[list[Violation], pa.ChunkedArray]:
    """Find what is wrong with the rows of some shards, counted together, and their ids."""
    added: dict[tuple[str, str], Violation] = {}
    ids: list[pa.Array] = []
    expected = pa.schema([(name, release.column(name).type) for name in release.manifest.columns])
    for file in files:
        for rows in release.row_groups(file):
            for violation in violations(rows, expected):
                first = added.setdefault((violation.column, violation.problem), violation)
                if violation.records is not None and first is not violation:
                    total = (first.records or 0) + violation.records
                    added[violation.column, violation.problem] = replace(first, records=total)
            if [field.type for field in rows.schema if field.name == "material_id"] == [pa.string()]:
                ids += rows["material_id"].chunks
    return list(added.values()), pa.chunked_array(ids, pa.string())


def _strangers(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> list[Violation]:
    """Find the ids that are not among the known ones."""
    strange = ids.filter(pc.invert(pc.is_in(ids, value_set=known)))
    problem = "no such record in the release"
    return [Violation("material_id", problem, len(strange), str(strange[0]))] if len(strange) else []
