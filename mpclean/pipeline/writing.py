"""The files of a release, from what a build found out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH
from mpclean.crystal.cells import CELL_TOLERANCE, SPACEGROUP_TOLERANCE
from mpclean.crystal.similarity.matching import MAX_ATOMS as MAX_MATCHED_ATOMS
from mpclean.crystal.similarity.matching import MAX_COMPARISONS
from mpclean.pipeline.examples import COLUMNS, examples
from mpclean.pipeline.outcome import Outcome
from mpclean.pipeline.passes import Passes
from mpclean.pipeline.plan import Plan
from mpclean.pipeline.resume import LIBRARIES
from mpclean.release.configurations import Counts, count
from mpclean.release.hashing import ContentDigest
from mpclean.release.layout import EXAMPLES, FORMAT_VERSION, LEDGER, LISTED, split_table
from mpclean.release.manifest import make_manifest
from mpclean.release.seal import describe_files, seal
from mpclean.release.writer import write_shards, write_table
from mpclean.rules.duplicate import Duplicate
from mpclean.vocabulary.schema import BONDED, PARTS, RELEASE, SPLIT
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA


@dataclass(frozen=True)
class _Written:
    """What the shards hold, for the manifest."""

    columns: list[str]
    rows: dict[str, int]
    shards: dict[str, int]
    counts: Counts
    content_hash: str


def write_release(plan: Plan, passes: Passes, folder: Path, outcome: Outcome) -> None:
    """Write a whole release.

    Parameters
    ----------
    plan
        What was to be built.
    passes
        What the passes over the crystals left on disk.
    folder
        Where to write; must not be there yet.
    outcome
        What the build found out.
    """
    folder.mkdir()
    written = _write_shards(plan, passes, folder, outcome)
    write_table(folder / split_table(outcome.split.strategy), outcome.assigned.cast(SPLIT))
    write_table(folder / LEDGER, outcome.excluded)
    write_table(folder / EXAMPLES, examples(outcome.excluded, passes.readable(COLUMNS)))
    if plan.split is not None and outcome.replay is not None:
        write_table(folder / LISTED, plan.split[0])
    manifest = make_manifest(_manifest(plan, outcome, written))
    seal(folder, manifest.changed(files=describe_files(folder)))


def _write_shards(plan: Plan, passes: Passes, folder: Path, outcome: Outcome) -> _Written:
    """Write the rows of every part, and hash and count them as they go by."""
    kept = outcome.kept
    columns = [*RELEASE.names, *outcome.labels.own]
    place = _places(kept["material_id"], outcome.assigned)
    rows = {name: int(n) for name, n in zip(PARTS, np.bincount(place, minlength=3), strict=True)}
    counts: Counts = {}
    digest = ContentDigest()

    def batches() -> Iterator[tuple[str, pa.Table]]:
        begin = 0
        for table in passes.bonded(kept["position"]):
            in_part = place[begin : (begin := begin + table.num_rows)]
            for number, name in enumerate(PARTS):
                part = table.filter(pa.array(in_part == number)).select(columns)
                if part.num_rows:
                    count(counts, name, part, plan.labels.names)
                    digest.update(f"data/{name}", part)
                    yield f"data/{name}", part
                    bar.update(part.num_rows)

    with tqdm(total=kept.num_rows, desc="writing", unit=" crystals", disable=None) as bar:
        known = [field for field in BONDED if field.name in columns]
        own = [field for field in plan.labels.fields if field.name in columns]
        schema = pa.schema([*known, *own])
        rows_of = {f"data/{part}": n for part, n in rows.items()}
        size = passes.bytes_bonded / max(kept.num_rows, 1)
        shards = write_shards(folder, batches(), rows_of, size, schema)
    digest.update("splits", outcome.assigned)
    digest.update("ledger", outcome.excluded.cast(LEDGER_SCHEMA))
    return _Written(
        columns, rows, {part: shards[f"data/{part}"] for part in PARTS}, counts, digest.hexdigest()
    )


def _places(material_ids: pa.ChunkedArray, assigned: pa.Table) -> NDArray[np.int8]:
    """Find the place in `PARTS` (N,) of each of N ids, from a table of `SPLIT` with the same ids."""
    in_split = pc.index_in(assigned["split"], value_set=pa.array(PARTS)).to_numpy().astype(np.int8)
    place = np.empty(len(material_ids), dtype=np.int8)
    place[pc.sort_indices(material_ids).to_numpy()] = in_split[
        pc.sort_indices(assigned["material_id"]).to_numpy()
    ]
    return place


def _manifest(plan: Plan, outcome: Outcome, written: _Written) -> dict[str, Any]:
    identity = plan.source.identity
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.version.release or plan.out.name,
        "release_version": plan.version.release_version,
        "content_hash": written.content_hash,
        "upstream": {
            "title": plan.version.title,
            "claimed_version": plan.version.name,
            "database_version": identity.database_version,
            "stated_versions": list(outcome.stated_versions),
            "source": identity.name,
            "sha256": identity.sha256,
            "licence": identity.licence,
            "citation": identity.citation,
            "synthetic": outcome.synthetic,
            "published": plan.version.published,
        },
        "parameters": {
            "rules": [rule.name for rule in plan.rules],
            "rule_parameters": {rule.name: rule.parameters for rule in plan.rules if rule.parameters},
            "dedup": next((rule.dedup for rule in plan.rules if isinstance(rule, Duplicate)), None),
            "max_matched_atoms": MAX_MATCHED_ATOMS,
            "max_comparisons": MAX_COMPARISONS,
            "cell_tolerance": CELL_TOLERANCE,
            "spacegroup_tolerance": SPACEGROUP_TOLERANCE,
            "bonds": plan.bonds.kind,
            "min_area": plan.bonds.min_area,
            "cutoff": plan.bonds.cutoff,
            "bond_tolerance": BOND_TOLERANCE,
            "max_bond_length": MAX_BOND_LENGTH,
            "limit": plan.limit,
            **plan.source.parameters,
        },
        "libraries": {name: package_version(name) for name in LIBRARIES},
        "stages": [
            {"name": stage.name, "title": stage.title, "kept": stage.kept, "excluded": stage.excluded}
            for stage in outcome.stages
        ],
        "kept_by_source_formula": outcome.kept_by_source_formula,
        "duplicates": outcome.duplicates,
        "spacegroups": outcome.spacegroups,
        "statistics": outcome.labels.statistics,
        "split": {"strategy": outcome.split.strategy, "description": outcome.split.description},
        "splits": written.rows,
        "replay": outcome.replay,
        "shards": written.shards,
        "counts": written.counts,
        "columns": written.columns,
        "labels": [label.to_dict() for label in plan.labels.labels if label.name in written.columns],
        "label_notes": outcome.label_notes.lines(),
        "files": {},
    }
