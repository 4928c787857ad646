"""A build from end to end: plan -> passes -> rules -> split -> release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.crystal.bonding.graph import MIN_AREA
from mpclean.errors import UnfinishedError, UserError
from mpclean.pipeline.cores import usable_cores
from mpclean.pipeline.outcome import Labels, Outcome, SplitOrigin, Stage
from mpclean.pipeline.passes import Passes
from mpclean.pipeline.plan import Plan, make_plan
from mpclean.pipeline.replay import compare
from mpclean.pipeline.resume import unfinished
from mpclean.pipeline.writing import write_release
from mpclean.release.atomic import move_into_place, require_free, staging_folder
from mpclean.release.reader import Release, open_release
from mpclean.release.tables import merge_statistics, target_statistics
from mpclean.rules import RULES
from mpclean.rules.base import partition
from mpclean.rules.duplicate import DEDUP
from mpclean.splits import published, shuffled
from mpclean.splits.base import FRACTIONS, SEED
from mpclean.vocabulary.schema import MATCHES, SOURCE_LABELS, SOURCE_WORDS, TARGETS

#: Columns of labels that are read at a time.
_AT_A_TIME = 4


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
    who = scheduler or workers or usable_cores()
    plan = make_plan(version, source, out, split, dedup, min_area, who, limit, allow_version_drift, options)
    with staging_folder(plan.out) as folder:
        require_free(plan.out, force)
        with unfinished(plan.out, plan.facts(), folder) as batches:
            passes = Passes(batches, plan.source, plan.bonds, plan.limit, plan.workers)
            write_release(plan, passes, folder / "release", judge(plan, passes))
            _require_still_free(plan.out, force)
            move_into_place(folder / "release", plan.out)
    return open_release(plan.out)


def _require_still_free(out: Path, force: bool) -> None:
    """Refuse a target that others have taken meanwhile, and keep the work."""
    try:
        require_free(out, force)
    except UserError as error:
        raise UnfinishedError(str(error)) from None


def judge(plan: Plan, passes: Passes) -> Outcome:
    """Run the passes, the rules and the split of a plan; every record is then kept or in the ledger.

    Raises
    ------
    UserError
        If no record is kept.
    """
    passes.prepare(None if plan.drift else plan.version.require)
    keys = passes.keys()
    stated_versions, spacegroups = passes.stated()
    stages = [Stage("records", "records read", keys.num_rows)]
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
        stages.append(Stage(rule.name, rule.title, keys.num_rows, dropped.num_rows))
        if rule.name == "record" and not keys.num_rows:
            raise UserError(_nothing_readable(plan.origin, dropped))
    if not bonded:
        # No rule of this plan asks for bonds, but a crystal without them cannot be written.
        keys = passes.bond(keys)
        keys, dropped = partition(keys, keys["reason"].is_valid(), "bonds", keys["reason"], keys["detail"])
        ledger.append(dropped)
        stages.append(Stage("bonds", "with bonds", keys.num_rows, dropped.num_rows))

    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is left by the rules; {_most_common(ledger)}")

    if plan.split is None:
        split = SplitOrigin("random", _describe_random())
        ids = keys["material_id"]
        assigned = shuffled(ids.take(pc.sort_indices(ids)))
    else:
        split = SplitOrigin("published", plan.split[1])
        (keys, dropped), assigned = published(keys, plan.split[0])
        ledger.append(dropped)
        stages.append(Stage("split", "on the lists of the split", keys.num_rows, dropped.num_rows))
    excluded = pa.concat_tables(ledger)
    assert keys.num_rows + excluded.num_rows == stages[0].kept, "a record is neither kept nor in the ledger"
    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is on the lists of the split; give another --split")
    replay = compare(plan.split[0], keys, excluded) if plan.split and plan.version.lists else None
    keys = keys.select(["position", "material_id"])  # nothing else is asked of them any more
    labels = _labels(passes, keys["position"])
    stages.append(Stage("insulators", "of these insulators", labels.n_insulators))
    return Outcome(
        kept=keys,
        excluded=excluded,
        assigned=assigned,
        split=split,
        stages=tuple(stages),
        labels=labels,
        stated_versions=tuple(stated_versions),
        spacegroups=spacegroups,
        kept_by_source_formula=by_source_formula,
        duplicates=duplicates,
        replay=replay,
    )


def _labels(passes: Passes, positions: pa.ChunkedArray) -> Labels:
    """Look through the labels of the kept records.

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
    return Labels(statistics, tuple(own), int(pc.sum(labels["is_insulator"]).as_py() or 0))


def _most_common(ledger: list[pa.Table]) -> str:
    counts = pa.concat_tables(ledger)["reason"].value_counts().to_pylist()
    most = max(counts, key=lambda entry: entry["counts"])
    return f"{most['counts']} of them: {most['values']}"


def _nothing_readable(origin: str, dropped: pa.Table) -> str:
    if not dropped.num_rows:
        return f"{origin}: no record in it; give a snapshot with one document per record"
    first = dropped.slice(0, 1).to_pylist()[0]
    return f"{origin}: has no readable record; the first: {first['detail']}: {first['reason']}"


def _describe_random() -> str:
    shares = " / ".join(f"{share:.0%}" for share in FRACTIONS)
    return f"Python's random.seed({SEED}) and random.shuffle on the ids in string order, then {shares}."
