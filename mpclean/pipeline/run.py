"""The plan: source -> rules -> splits -> release."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH, MIN_AREA
from mpclean.crystal.cells import CELL_TOLERANCE, SPACEGROUP_TOLERANCE
from mpclean.crystal.similarity.matching import MAX_ATOMS as MAX_MATCHED_ATOMS
from mpclean.crystal.similarity.matching import MAX_COMPARISONS
from mpclean.errors import UnfinishedError, UserError
from mpclean.pipeline.examples import COLUMNS, examples
from mpclean.pipeline.passes import Passes
from mpclean.pipeline.replay import compare
from mpclean.pipeline.resume import LIBRARIES, unfinished
from mpclean.pipeline.steps import Bonds
from mpclean.release.atomic import move_into_place, require_free, staging_folder
from mpclean.release.configurations import Counts, count
from mpclean.release.hashing import ContentDigest
from mpclean.release.layout import EXAMPLES, FORMAT_VERSION, LEDGER, LISTED, is_release, split_table
from mpclean.release.manifest import Manifest
from mpclean.release.reader import Release, open_release
from mpclean.release.seal import describe_files, seal
from mpclean.release.tables import merge_statistics, target_statistics
from mpclean.release.writer import write_shards, write_table
from mpclean.rules import RULES
from mpclean.rules.base import partition
from mpclean.rules.duplicate import DEDUP
from mpclean.rules.size import MAX_ATOMS
from mpclean.sources import SOURCES, Source, open_source, recognise
from mpclean.sources.downloads import fetch
from mpclean.sources.versions import Version, find_version
from mpclean.splits import published, read_split, shuffled
from mpclean.splits.base import FRACTIONS, SEED
from mpclean.vocabulary.schema import (
    BONDED,
    MATCHES,
    PARTS,
    RELEASE,
    SOURCE_LABELS,
    SOURCE_WORDS,
    SPLIT,
    TARGETS,
)
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA

#: Longest edge of a graph of all neighbours within a radius, A (Perov-5).
RADIUS_CUTOFF = 5.0

#: Columns of labels that are read at a time.
_AT_A_TIME = 4


@dataclass(frozen=True)
class Plan:
    """A build, resolved: what will be done, before anything is read.

    Attributes
    ----------
    version
        The version asked for.
    source
        Where records come from.
    origin
        What the user called the source: its path or its name.
    out
        Folder of the release.
    bonds
        How bonds are found.
    dedup
        Name of `mpclean.rules.duplicate.DEDUP`: what the rule ``duplicate`` compares.
    split
        ``random``, or a table of `mpclean.vocabulary.schema.SPLIT` with words for where it came from.
    drift
        Take records that state another version than the one asked for.
    limit
        Read this many records only; None for all.
    workers
        Who does the per-crystal work, as `mpclean.pipeline.executor.run` takes it.
    """

    version: Version
    source: Source
    origin: str
    out: Path
    bonds: Bonds
    dedup: str
    split: tuple[pa.Table, str] | None
    drift: bool
    limit: int | None
    workers: int | str


def build(
    version: str | None = None,
    source: str | Path | None = None,
    out: str | Path | None = None,
    split: str | Path | None = None,
    dedup: str | None = None,
    min_area: float = MIN_AREA,
    workers: int | None = None,
    scheduler: str | None = None,
    limit: int | None = None,
    functional: str | None = None,
    hull: str | None = None,
    bulk: bool = False,
    allow_version_drift: bool = False,
    force: bool = False,
) -> Release:
    """Build a release; the command ``mpclean build``.

    Parameters
    ----------
    version
        Name of a known version; without one the build claims none.
    source
        Name of a known source, or the path of a snapshot.
    out
        Folder of the release; ``releases/<release name of the version>`` by default.
    split
        ``random``, ``published``, or the path of a split. By default published where the
        source brings a split or the version has published lists, else random.
    dedup
        What makes records duplicates: ``key``, equal formula and space group as in the paper, or
        ``structure``, equal structures besides; ``key`` by default.
    min_area
        Smallest Voronoi face that makes a bond, A^2.
    workers
        Processes for the per-crystal work; the number of usable cores by default. The
        release does not depend on it. With 1 the work is done in this process, where a crystal
        that ends it or takes for ever is not given up, as it is by several.
    scheduler
        Address of the scheduler of a Dask cluster, as in ``tcp://host:8786``, that does the
        per-crystal work instead. Records and results travel: nothing is read or written there.
    limit
        Read this many records only.
    functional
        One of `mpclean.vocabulary.functionals.FUNCTIONALS`, for sources with records of several;
        PBE by default.
    hull
        One of `mpclean.vocabulary.functionals.HULLS`, for the live Materials Project; pbe by default.
    bulk
        Download the whole table of the live Materials Project instead of its pages.
    allow_version_drift
        Take records of another version than the one asked for; the live Materials Project is
        then asked for the published ids of that one.
    force
        Replace a release that is already there, once the new one is whole.

    Raises
    ------
    UserError
        For everything the user can put right; nothing is written then.
    """
    options = {"functional": functional, "hull": hull, "bulk": bulk or None}
    if workers is not None and scheduler is not None:
        raise UserError(
            "--workers are processes of this machine and --scheduler is another; give one of them"
        )
    who = scheduler or workers or len(os.sched_getaffinity(0))
    plan = _plan(version, source, out, split, dedup, min_area, who, limit, allow_version_drift, options)
    with staging_folder(plan.out) as folder:
        require_free(plan.out, force)
        with unfinished(plan.out, _depends_on(plan), folder) as batches:
            _build(plan, Passes(batches, plan.source, plan.bonds, plan.limit, plan.workers), folder)
            _require_still_free(plan.out, force)
            move_into_place(folder / "release", plan.out)
    return open_release(plan.out)


def _require_still_free(out: Path, force: bool) -> None:
    """Refuse a target that others have taken meanwhile, and keep the work."""
    try:
        require_free(out, force)
    except UserError as error:
        raise UnfinishedError(str(error)) from None


def _depends_on(plan: Plan) -> dict[str, Any]:
    """What the work on crystals depends on; not what comes after it, nor who does it, nor where."""
    others = ("source", "origin", "out", "split", "workers")
    facts = {entry.name: getattr(plan, entry.name) for entry in fields(plan) if entry.name not in others}
    return facts | {"identity": plan.source.identity, "parameters": dict(plan.source.parameters)}


def _plan(
    version_name: str | None,
    source: str | Path | None,
    out: str | Path | None,
    split: str | Path | None,
    dedup: str | None,
    min_area: float,
    workers: int | str,
    limit: int | None,
    drift: bool,
    options: dict[str, Any],
) -> Plan:
    version = find_version(version_name)
    if not 0.0 <= min_area < math.inf:
        raise UserError(f"--min-area {min_area}: an area in A^2, 0 or more, is needed")
    if dedup is not None and dedup not in DEDUP:
        raise UserError(f"--dedup {dedup}: unknown; known are {', '.join(DEDUP)}")
    if dedup is not None and "duplicate" not in version.rules:
        raise UserError(f"--dedup {dedup}: version {version.name} is built without the rule duplicate")
    if out is None:
        if version.release is None:
            raise UserError("a build without --version needs --out DIR, which also names the release")
        out = Path("releases") / version.release
    if source is None and version.name is None:
        raise UserError("nothing to build: give --version of a known version, or --source of a snapshot")
    if source is None and version.sources[0] == "records":
        raise UserError(
            f"no public service is known to serve version {version.name}: give a snapshot of it with "
            "--source PATH; or fetch its published ids from the version served today with --source "
            "materials-project --allow-version-drift, which records the true version of every row and "
            "reports how many ids it has; or build another version (mpclean versions)"
        )
    path = None if source is None or str(source) in SOURCES else Path(source)
    if path is not None:
        if is_release(path):
            raise UserError(
                f"{path} is a release, and no source: build from the snapshot that it came from, or go on "
                "from it with mpclean split or mpclean export"
            )
        name = recognise(path)
        if version.name is not None and name not in version.sources:
            name = version.sources[0]  # which says what it misses in the path
    else:
        name = str(source or version.sources[0])
        if version.name is not None and name not in version.sources:
            raise UserError(
                f"version {version.name} is not served by the source {name}: {', '.join(version.sources)}"
            )
    if name == "materials-project" and path is None:
        options = options | {"version": version, "drift": drift, "limit": limit}
    opened = open_source(name, path, **options)
    return Plan(
        version=version,
        source=opened,
        origin=str(source or opened.identity.name),
        out=Path(out),
        bonds=Bonds(version.bonds, min_area, RADIUS_CUTOFF),
        dedup=dedup or "key",
        split=_chosen_split(split, opened, version),
        drift=drift,
        limit=limit,
        workers=workers,
    )


def _chosen_split(split: str | Path | None, source: Source, version: Version) -> tuple[pa.Table, str] | None:
    if split is None:
        split = "random" if source.published_split is None and version.lists is None else "published"
    if str(split) == "random":
        return None
    if str(split) != "published":
        return read_split(Path(split)), "Lists of ids that were given to the build."
    if source.published_split is not None:
        return source.published_split, "The split that was published with the source."
    if version.lists is None:
        raise UserError(
            f"the source {source.identity.name} brings no published split; give lists with --split PATH"
        )
    lists = fetch(str(version.name), version.lists, "build with --split random or --split PATH")
    return (
        read_split(lists),
        f"The lists that {version.lists.repository} publishes at commit {version.lists.commit}.",
    )


def _build(plan: Plan, passes: Passes, staging: Path) -> None:
    passes.prepare(None if plan.drift else plan.version.require)
    keys = passes.keys()
    stated_versions, spacegroups = passes.stated()
    stages = [_stage("records", "records read", keys.num_rows, None)]
    by_source_formula = duplicates = None
    ledger = []
    rules = [DEDUP[plan.dedup] if name == "duplicate" else RULES[name] for name in plan.version.rules]
    bonded = False
    for rule in rules:
        if rule.needs_bonds and not bonded:
            keys, bonded = passes.bond(keys), True
        if rule.needs_matches:
            by_source_formula = passes.distinct_by_source_formula(keys)
            keys = passes.match(keys)
            duplicates = merge_statistics((name, each.apply(keys)[1]) for name, each in DEDUP.items())
        keys, dropped = rule.apply(keys)
        if rule.needs_matches:
            keys = keys.drop_columns(MATCHES.names[1:])
        ledger.append(dropped)
        stages.append(_stage(rule.name, rule.title, keys.num_rows, dropped.num_rows))
        if rule.name == "record" and not keys.num_rows:
            raise UserError(_nothing_readable(plan.origin, dropped))
    if not bonded:
        # No rule of this plan asks for bonds, but a crystal without them cannot be written.
        keys = passes.bond(keys)
        keys, dropped = partition(keys, keys["reason"].is_valid(), "bonds", keys["reason"], keys["detail"])
        ledger.append(dropped)
        stages.append(_stage("bonds", "with bonds", keys.num_rows, dropped.num_rows))

    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is left by the rules; {_most_common(ledger)}")

    if plan.split is None:
        strategy, description = "random", _describe_random()
        ids = keys["material_id"]
        assigned = shuffled(ids.take(pc.sort_indices(ids)))
    else:
        strategy, description = "published", plan.split[1]
        (keys, dropped), assigned = published(keys, plan.split[0])
        ledger.append(dropped)
        stages.append(_stage("split", "on the lists of the split", keys.num_rows, dropped.num_rows))
    excluded = pa.concat_tables(ledger)
    assert keys.num_rows + excluded.num_rows == stages[0]["left"], (
        "a record is neither kept nor in the ledger"
    )
    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is on the lists of the split; give another --split")
    replay = compare(plan.split[0], keys, excluded) if plan.split and plan.version.lists else None
    keys = keys.select(["position", "material_id"])  # nothing else is asked of them any more
    statistics, own, insulators = _labels(passes, keys["position"])
    stages.append(_stage("insulators", "of these insulators", insulators, None))

    _write_release(
        plan,
        passes,
        staging,
        keys,
        assigned,
        excluded,
        {
            "stages": stages,
            "own": own,
            "statistics": statistics,
            "spacegroups": spacegroups,
            "left_by_source_formula": by_source_formula,
            "duplicates": duplicates,
            "split": {"strategy": strategy, "description": description},
            "replay": replay,
            "stated_versions": stated_versions,
        },
    )


def _labels(passes: Passes, positions: pa.ChunkedArray) -> tuple[dict[str, Any], list[str], int]:
    """Statistics of the targets, the source's own labels that have values, and the number of insulators.

    A few columns at a time, as all of them would take more memory than the keys.
    """
    statistics: dict[str, Any] = {}
    own = []
    names = (*TARGETS, *SOURCE_LABELS, *SOURCE_WORDS)
    for begin in range(0, len(names), _AT_A_TIME):
        some = names[begin : begin + _AT_A_TIME]
        labels = pa.concat_tables(passes.bonded(positions, [*dict.fromkeys([*some, "is_insulator"])]))
        statistics |= target_statistics(labels)
        own += [name for name in some if name not in TARGETS and labels[name].null_count < len(labels)]
    return statistics, own, int(pc.sum(labels["is_insulator"]).as_py() or 0)


def _most_common(ledger: list[pa.Table]) -> str:
    counts = pa.concat_tables(ledger)["reason"].value_counts().to_pylist()
    most = max(counts, key=lambda entry: entry["counts"])
    return f"{most['counts']} of them: {most['values']}"


def _nothing_readable(origin: str, dropped: pa.Table) -> str:
    if not dropped.num_rows:
        return f"{origin}: no record in it; give a snapshot with one document per record"
    first = dropped.slice(0, 1).to_pylist()[0]
    return f"{origin}: has no readable record; the first: {first['detail']}: {first['reason']}"


def _stage(name: str, title: str, left: int, dropped: int | None) -> dict[str, Any]:
    return {"name": name, "title": title, "left": left, "dropped": dropped}


def _describe_random() -> str:
    shares = " / ".join(f"{share:.0%}" for share in FRACTIONS)
    return f"Python's random.seed({SEED}) and random.shuffle on the ids in string order, then {shares}."


def _write_release(
    plan: Plan,
    passes: Passes,
    staging: Path,
    keys: pa.Table,
    assigned: pa.Table,
    ledger: pa.Table,
    facts: dict[str, Any],
) -> None:
    folder = staging / "release"
    folder.mkdir()
    columns = [*RELEASE.names, *facts["own"]]
    place = _places(keys["material_id"], assigned)
    rows = {name: int(n) for name, n in zip(PARTS, np.bincount(place, minlength=3), strict=True)}
    counts: Counts = {}

    def batches() -> Iterator[tuple[str, pa.Table]]:
        begin = 0
        for table in passes.bonded(keys["position"]):
            split = place[begin : (begin := begin + table.num_rows)]
            for number, name in enumerate(PARTS):
                part = table.filter(pa.array(split == number)).select(columns)
                if part.num_rows:
                    count(counts, name, part)
                    digest.update(f"data/{name}", part)
                    yield f"data/{name}", part
                    bar.update(part.num_rows)

    digest = ContentDigest()
    with tqdm(total=keys.num_rows, desc="writing", unit=" crystals", disable=None) as bar:
        schema = pa.schema([field for field in BONDED if field.name in columns])
        rows_of = {f"data/{split}": n for split, n in rows.items()}
        size = passes.bytes_bonded / max(keys.num_rows, 1)
        shards = write_shards(folder, batches(), rows_of, size, schema)
    digest.update("splits", assigned)
    digest.update("ledger", ledger.cast(LEDGER_SCHEMA))
    write_table(folder / split_table(facts["split"]["strategy"]), assigned.cast(SPLIT))
    write_table(folder / LEDGER, ledger)
    write_table(folder / EXAMPLES, examples(ledger, passes.readable(COLUMNS)))
    if plan.split is not None and facts["replay"] is not None:
        write_table(folder / LISTED, plan.split[0])

    shards = {split: shards[f"data/{split}"] for split in PARTS}
    manifest = _manifest(plan, facts, columns, rows, shards, counts, digest.hexdigest())
    manifest["files"] = describe_files(folder)
    seal(folder, manifest)


def _places(material_ids: pa.ChunkedArray, assigned: pa.Table) -> NDArray[np.int8]:
    """The place in `PARTS` (N,) of each of N ids, from a table of `SPLIT` with the same ids."""
    in_split = pc.index_in(assigned["split"], value_set=pa.array(PARTS)).to_numpy().astype(np.int8)
    place = np.empty(len(material_ids), dtype=np.int8)
    place[pc.sort_indices(material_ids).to_numpy()] = in_split[
        pc.sort_indices(assigned["material_id"]).to_numpy()
    ]
    return place


def _manifest(
    plan: Plan,
    facts: dict[str, Any],
    columns: list[str],
    rows: dict[str, int],
    shards: dict[str, int],
    counts: Counts,
    content_hash: str,
) -> Manifest:
    identity = plan.source.identity
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.version.release or plan.out.name,
        "release_version": plan.version.release_version,
        "content_hash": content_hash,
        "upstream": {
            "title": plan.version.title,
            "claimed_version": plan.version.name,
            "database_version": identity.database_version,
            "stated_versions": facts["stated_versions"],
            "source": identity.name,
            "sha256": identity.sha256,
            "licence": identity.licence,
            "citation": identity.citation,
            "synthetic": identity.synthetic,
            "published": plan.version.published,
        },
        "parameters": {
            "rules": list(plan.version.rules),
            "dedup": plan.dedup if "duplicate" in plan.version.rules else None,
            "max_matched_atoms": MAX_MATCHED_ATOMS,
            "max_comparisons": MAX_COMPARISONS,
            "max_atoms": MAX_ATOMS,
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
        "stages": facts["stages"],
        "left_by_source_formula": facts["left_by_source_formula"],
        "duplicates": facts["duplicates"],
        "spacegroups": facts["spacegroups"],
        "statistics": facts["statistics"],
        "split": facts["split"],
        "splits": rows,
        "replay": facts["replay"],
        "shards": shards,
        "counts": counts,
        "columns": columns,
        "files": {},
    }
