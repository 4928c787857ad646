"""A build from end to end: plan -> passes -> rules -> split -> release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

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
from mpclean.pipeline.wishes import OwnWishes
from mpclean.pipeline.writing import write_release
from mpclean.release.atomic import move_into_place, require_free, staging_folder
from mpclean.release.reader import Release, open_release
from mpclean.release.tables import merge_statistics, target_statistics
from mpclean.rules import Rule
from mpclean.rules.base import partition
from mpclean.rules.choice import FIRST, choose, read_plan
from mpclean.rules.duplicate import Dedup, Duplicate
from mpclean.sources.versions import find_version
from mpclean.splits import published, shuffled
from mpclean.splits.base import FRACTIONS, SEED
from mpclean.vocabulary.schema import BONDED, PREPARED, SOURCE_LABELS, SOURCE_WORDS, TARGETS

#: Key columns that are there whatever the rules read.
_ALWAYS = ("position", "material_id", "nsites", "reason", "detail")

if TYPE_CHECKING:
    import pandas as pd

#: Columns of labels that are read at a time.
_AT_A_TIME = 4


def build(
    version: str | None = None,
    source: str | Path | Iterable[Any] | None = None,
    out: str | Path | None = None,
    split: str | Path | None = None,
    rules: Sequence[str] | None = None,
    rule: Mapping[str, Any] | None = None,
    plan: str | Path | None = None,
    min_area: float = MIN_AREA,
    workers: int | None = None,
    scheduler: str | None = None,
    limit: int | None = None,
    functional: str | None = None,
    hull: str | None = None,
    bulk: bool = False,
    allow_version_drift: bool = False,
    force: bool = False,
    label: Sequence[str] = (),
    labels: str | Path | pd.DataFrame | None = None,
    licence: str | None = None,
    citation: str | None = None,
) -> Release:
    """Build a release; the command ``mpclean build``.

    Parameters
    ----------
    version
        Name of a known version; without one the build claims none.
    source
        Name of a known source, or the path of a snapshot; or a list of structures (pymatgen, ASE,
        `Crystal`), or a data frame with a column of them (`mpclean.sources.objects.open_objects`).
    out
        Folder of the release; ``releases/<release name of the version>`` by default.
    split
        ``random``, ``published``, or the path of a split. By default published where the
        source brings a split or the version has published lists, else random.
    rules
        Names of rules in the order in which they run, after ``record``, which always does; those of the
        version by default.
    rule
        Parameters of rules by name, as ``{"max_atoms": 100}`` or, where two rules have one of that name,
        ``{"size.max_atoms": 100}``.
    plan
        Path of a TOML file with rules and parameters (`mpclean.rules.choice.read_plan`); what `rule` says
        as well counts more.
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
    label
        Numeric fields of the records to keep beside those of the schema, each ``NAME:UNIT``, as in
        ``bulk_modulus:GPa``. A TOML beside the source may name them too: its table ``[labels]`` has lines
        like ``bulk_modulus = "GPa"``.
    labels
        Labels by id: a table (CSV, Parquet, JSON) or a data frame. A column that the schema knows by its
        name fills that of the schema.
    licence, citation
        Of the records, where their files do not state them; else ``unknown``.

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
    if plan is not None and rules is not None:
        raise UserError("--plan and --rules both name rules; give one of them")
    known = find_version(version)
    chosen = choose(
        known.rules if rules is None else rules, rule or {}, read_plan(Path(plan)) if plan else None
    )
    own = OwnWishes(tuple(label), labels, licence, citation)
    made = make_plan(
        known, source, out, split, chosen, min_area, who, limit, allow_version_drift, options, own
    )
    with staging_folder(made.out) as folder:
        require_free(made.out, force)
        with unfinished(made.out, made.facts(), folder) as batches:
            passes = Passes(batches, made.source, made.bonds, made.limit, made.workers, made.labels)
            write_release(made, passes, folder / "release", judge(made, passes))
            _require_still_free(made.out, force)
            move_into_place(folder / "release", made.out, replace=force)
    return open_release(made.out)


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
    label_notes = passes.label_notes()
    keys = passes.keys(_key_columns(plan.rules))
    stated_versions, spacegroups = passes.stated()
    stages = [Stage("records", "records read", keys.num_rows)]
    by_source_formula = duplicates = None
    ledger = []
    bonded = matched = False
    for number, rule in enumerate(plan.rules):
        if rule.after_bonds and not bonded:
            keys, bonded = passes.bond(keys, _columns(plan.rules[number:], BONDED)), True
        if rule.after_matches and not matched:
            if isinstance(rule, Duplicate):
                by_source_formula = passes.distinct_by_source_formula(keys)
            keys, matched = passes.match(keys), True
        if isinstance(rule, Duplicate):
            duplicates = merge_statistics((how, Duplicate(how).apply(keys)[1]) for how in get_args(Dedup))
        keys, excluded = rule.apply(keys)
        # As long as the source: a column is held no longer than a rule may ask for it.
        later = {*_ALWAYS, *(name for other in plan.rules[number + 1 :] for name in _reads(other))}
        keys = keys.select([name for name in keys.column_names if name in later])
        ledger.append(excluded)
        stages.append(Stage(rule.name, rule.title, keys.num_rows, excluded.num_rows))
        if rule.name == FIRST and not keys.num_rows:
            raise UserError(_nothing_readable(plan.origin, excluded))
    if not bonded:
        # No rule of this plan asks for bonds, but a crystal without them cannot be written.
        keys = passes.bond(keys, [])
        keys, excluded = partition(keys, keys["reason"].is_valid(), "bonds", keys["reason"], keys["detail"])
        ledger.append(excluded)
        stages.append(Stage("bonds", "with bonds", keys.num_rows, excluded.num_rows))

    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is left by the rules; {_most_common(ledger)}")

    if plan.split is None:
        split = SplitOrigin("random", _describe_random())
        ids = keys["material_id"]
        assigned = shuffled(ids.take(pc.sort_indices(ids)))
    else:
        split = SplitOrigin("published", plan.split[1])
        (keys, unlisted), assigned = published(keys, plan.split[0])
        ledger.append(unlisted)
        stages.append(Stage("split", "on the lists of the split", keys.num_rows, unlisted.num_rows))
    excluded = pa.concat_tables(ledger)
    assert keys.num_rows + excluded.num_rows == stages[0].kept, "a record is neither kept nor in the ledger"
    if not keys.num_rows:
        raise UserError(f"{plan.origin}: no record is on the lists of the split; give another --split")
    replay = compare(plan.split[0], keys, excluded) if plan.split and plan.version.lists else None
    keys = keys.select(["position", "material_id"])  # nothing else is asked of them any more
    labels = _labels(passes, keys["position"], plan.labels.names)
    stages.append(Stage("insulators", "of these insulators", labels.n_insulators))
    return Outcome(
        kept=keys,
        excluded=excluded,
        assigned=assigned,
        split=split,
        stages=tuple(stages),
        labels=labels,
        label_notes=label_notes,
        synthetic=plan.source.identity.synthetic or passes.synthetic(),
        stated_versions=tuple(stated_versions),
        spacegroups=spacegroups,
        kept_by_source_formula=by_source_formula,
        duplicates=duplicates,
        replay=replay,
    )


def _reads(rule: Rule) -> tuple[str, ...]:
    """Find the columns that must be there when a rule runs: what is matched is found from the paper's key."""
    return (*rule.columns, *Duplicate.columns) if rule.after_matches else rule.columns


def _columns(rules: Iterable[Rule], known: pa.Schema) -> list[str]:
    """Columns of a pass that some rules read."""
    return [
        name for name in dict.fromkeys(name for rule in rules for name in _reads(rule)) if name in known.names
    ]


def _key_columns(rules: Iterable[Rule]) -> list[str]:
    return [*dict.fromkeys([*_ALWAYS, *_columns(rules, PREPARED)])]


def _labels(passes: Passes, positions: pa.ChunkedArray, own_names: tuple[str, ...]) -> Labels:
    """Look through the labels of the kept records.

    A few columns at a time, as all of them would take more memory than the keys.
    """
    statistics: dict[str, Any] = {}
    own = []
    names = (*TARGETS, *SOURCE_LABELS, *SOURCE_WORDS, *own_names)
    for begin in range(0, len(names), _AT_A_TIME):
        some = names[begin : begin + _AT_A_TIME]
        labels = pa.concat_tables(passes.bonded(positions, [*dict.fromkeys([*some, "is_insulator"])]))
        statistics |= target_statistics(labels, (*TARGETS, *SOURCE_LABELS, *own_names))
        own += [name for name in some if name not in TARGETS and labels[name].null_count < len(labels)]
    return Labels(statistics, tuple(own), int(pc.sum(labels["is_insulator"]).as_py() or 0))


def _most_common(ledger: list[pa.Table]) -> str:
    counts = pa.concat_tables(ledger)["reason"].value_counts().to_pylist()
    most = max(counts, key=lambda entry: entry["counts"])
    return f"{most['counts']} of them: {most['values']}"


def _nothing_readable(origin: str, unreadable: pa.Table) -> str:
    if not unreadable.num_rows:
        return f"{origin}: no record in it; give a snapshot with one document per record"
    first = unreadable.slice(0, 1).to_pylist()[0]
    return f"{origin}: has no readable record; the first: {first['detail']}: {first['reason']}"


def _describe_random() -> str:
    shares = " / ".join(f"{share:.0%}" for share in FRACTIONS)
    return f"Python's random.seed({SEED}) and random.shuffle on the ids in string order, then {shares}."
