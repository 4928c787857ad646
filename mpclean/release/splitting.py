"""Put another split into a release, beside the one that it was built with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from mpclean.crystal.similarity.levels import level_keys
from mpclean.errors import UserError
from mpclean.release.configurations import configurations
from mpclean.release.hashing import ContentDigest
from mpclean.release.layout import split_table
from mpclean.release.manifest import SPLIT_NAME, AddedSplit
from mpclean.release.reader import Release
from mpclean.release.split_rows import write_rows
from mpclean.release.update import amended
from mpclean.release.writer import write_table
from mpclean.sources.downloads import fetch
from mpclean.sources.versions import find_version
from mpclean.splits import REGISTRY, read_split
from mpclean.splits.base import Strategy
from mpclean.splits.grouped import GROUPS, kept_apart
from mpclean.vocabulary.labels import own_names
from mpclean.vocabulary.schema import PARTS, SPLIT


def split(
    path: str | Path,
    strategy: str,
    name: str | None = None,
    *,
    workers: int | None = None,
    force: bool = False,
    **options: Any,
) -> dict[str, dict[str, int]]:
    """Split a release once more, beside the split that it was built with; the command ``mpclean split``.

    The ids in string order, the strategy and its options decide the split. It becomes a file
    ``splits/NAME.parquet``, and a configuration NAME of ``datasets.load_dataset`` on rows of its own
    (`mpclean.release.split_rows`); manifest, card and Croissant say what it came from and what it holds.
    The content hash stays: it is over the data, the split that the shards are in, and the ledger.

    Parameters
    ----------
    path
        Folder of the release.
    strategy
        A name of `mpclean.splits.REGISTRY`.
    name
        Name of the split; that of the strategy by default. A strategy that makes several adds
        to it, as in ``k-fold-1``.
    workers
        Processes for the work on crystals; the number of usable cores by default.
    force
        Replace splits of that name, but never the one that the release was built with.
    options
        Those of the strategy: ``seed``, ``fractions``, ``element``, ``folds``, ``group``,
        ``of``, ``by``, ``lists``. None leaves an option at its default.

    Returns
    -------
    For each split that was written the number of records in train, validation and test.

    Raises
    ------
    UserError
        If the release, the strategy, an option or the name does not serve; nothing is
        written then.

    Examples
    --------
    >>> counts = mpclean.split("releases/demo", "formula", seed=1)  # doctest: +SKIP
    >>> list(counts), list(counts["formula"])  # doctest: +SKIP
    (['formula'], ['train', 'validation', 'test'])
    """
    with amended(path) as amendment:
        release = amendment.release
        plan = REGISTRY.find(strategy)
        resolved = _resolve(plan, options, release)
        base = plan.name if name is None else name
        replaced = _replaced(release, base, force)
        keys = _keys(plan, resolved, release, workers)
        given, recorded = _lists(resolved, release) if "lists" in resolved else (resolved, resolved)
        made = {f"{base}{end}": table.cast(SPLIT) for end, table in plan.make(keys, **given).items()}
        _require_free(release, base, made, replaced)
        if "lists" not in resolved:  # what is on a list is its author's choice
            _require_every_part(plan, made)
        more = dict(release.manifest.more_splits)
        for old in replaced:
            files = {file for part in more.pop(old).rows.values() for file in part.files}
            amendment.removed |= {split_table(old), *files}
        written = write_rows(amendment.folder, release, base, made)
        for new, table in made.items():
            write_table(amendment.folder / split_table(new), table)
            more[new] = AddedSplit(
                made_as=base,
                strategy=plan.name,
                parameters=recorded,
                keeps_apart=list(_keeps_apart(plan, resolved, release)),
                content_hash=_content_hash(table),
                splits=_counts(table),
                rows=written[new],
            )
        amendment.manifest = amendment.manifest.changed(more_splits=more)
    return {new: more[new].splits for new in made}


def _resolve(plan: Strategy, options: dict[str, Any], release: Release) -> dict[str, Any]:
    """Return the options of a strategy, those that were not given at their defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in plan.options:
            takes = ", ".join(f"--{option}" for option in plan.options)
            raise UserError(f"--strategy {plan.name} takes no --{name}; it takes {takes}")
    resolved = {**plan.options, **given}
    if "fractions" in resolved:
        resolved["fractions"] = list(resolved["fractions"])
        if min(resolved["fractions"]) <= 0 or not math.isclose(sum(resolved["fractions"]), 1.0, abs_tol=1e-6):
            raise UserError(
                f"--fractions {' '.join(map(str, resolved['fractions']))}: three shares above 0 of sum 1 are "
                "needed, for train, validation and test"
            )
    if "of" in resolved:
        resolved["of"] = resolved["of"] or release.manifest.split.strategy
    if resolved.get("group") not in (None, *GROUPS):
        raise UserError(f"--group {resolved['group']}: groups are by {', '.join(GROUPS)}")
    if "by" in resolved:
        resolved["by"] = resolved["by"] or ("date" if "date" in release.manifest.columns else "id")
    return resolved


def _lists(options: dict[str, Any], release: Release) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the lists of ids, for the strategy, and what is to be known of them, for the manifest."""
    if options["lists"] is not None:
        path, origin = Path(options["lists"]), "given"
    else:
        version = find_version(release.manifest.upstream.claimed_version)
        if version.lists is None:
            raise UserError(
                f"{release.path}: its version has no published lists; give some with --lists PATH"
            )
        path = fetch(str(version.name), version.lists, "give lists with --lists PATH")
        origin = f"{version.lists.repository} at {version.lists.commit}"
    lists = read_split(path)
    return options | {"lists": lists}, {"lists": origin, "ids": len(lists)}


def _keys(plan: Strategy, options: dict[str, Any], release: Release, workers: int | None) -> pa.Table:
    """Say what a strategy sees of the records, which are sorted by id."""
    level = plan.level or options.get("group")
    keys = level_keys(release, [level] if level else [], workers)
    keys = keys.rename_columns({level: "group"} if level else {})
    if wanted := [name for name in plan.columns if name in release.manifest.columns]:
        rows = release.table(columns=["material_id", *wanted]).sort_by("material_id")
        for name in wanted:
            keys = keys.append_column(name, rows[name])
    if "of" in options:
        keys = keys.join(release.assigned(options["of"]), "material_id").sort_by("material_id")
    return keys


def _replaced(release: Release, base: str, force: bool) -> list[str]:
    """Names of the splits that leave for those of a name: all that were made with it.

    Raises
    ------
    UserError
        If the name is none, stands for something else, or is taken and may not be replaced.
    """
    if not re.fullmatch(SPLIT_NAME, base) or base.endswith(".parquet"):
        raise UserError(f"--name {base}: letters, digits and . _ - are the characters of a name")
    old = [name for name, entry in release.manifest.more_splits.items() if entry.made_as == base]
    if old and not force:
        raise UserError(
            f"{release.path}: has a split {base!r} already; give another --name, or replace it with --force"
        )
    for name, entry in release.manifest.more_splits.items():
        if entry.parameters.get("of") in old:
            raise UserError(f"{release.path}: {name!r} is a part of {base!r}; give another --name")
    return old


def _require_free(release: Release, base: str, made: Iterable[str], replaced: list[str]) -> None:
    """Refuse names that stand for something else in a release or in ``load_dataset``."""
    others = {name: f"has a split {name!r}" for name in release.manifest.more_splits if name not in replaced}
    for entry in configurations(release.manifest.columns, own_names(release.manifest.labels)):
        others[entry.name] = f"has a configuration {entry.name!r}"
    own = release.manifest.split.strategy
    others[own] = f"was built with the split {own!r}"
    for name in (base, *made):
        if name in others:
            raise UserError(f"{release.path}: {others[name]}; give another --name")


def _require_every_part(plan: Strategy, made: dict[str, pa.Table]) -> None:
    """Refuse splits with a part that holds no record."""
    for name, table in made.items():
        counts = _counts(table)
        for part in PARTS:
            if not counts[part]:
                raise UserError(
                    f"--strategy {plan.name}: {part} of {name} would be empty; {len(table):,} records are "
                    "too few, or their groups too large: give other options or another --strategy"
                )


def _keeps_apart(plan: Strategy, options: dict[str, Any], release: Release) -> tuple[str, ...]:
    """Say what a strategy promises; a part of another split keeps what that one does."""
    more = release.manifest.more_splits
    if options.get("of") in more:
        return tuple(more[options["of"]].keeps_apart)
    return kept_apart(options["group"]) if options.get("group") else plan.keeps_apart


def _content_hash(table: pa.Table) -> str:
    digest = ContentDigest()
    digest.update("split", table)
    return digest.hexdigest()


def _counts(table: pa.Table) -> dict[str, int]:
    found = {entry["values"]: entry["counts"] for entry in table["split"].value_counts().to_pylist()}
    return {name: found.get(name, 0) for name in PARTS}
