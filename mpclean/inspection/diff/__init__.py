"""What differs between two releases, or between a release and a snapshot.

Ids, splits and ledgers are joined whole: they are short. Rows are compared a row group at a time: those
of the other side are first sorted into one temporary file for each row group of the release, so that
memory does not grow with the number of crystals, in whatever order both sides hold them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from mpclean.errors import UserError, closest
from mpclean.inspection.diff.ledgers import fates, ledger_difference
from mpclean.inspection.diff.sides import Side, Snapshot, facts, open_sides
from mpclean.inspection.diff.values import TOLERANCES, differing
from mpclean.release.reader import Release
from mpclean.release.tables import Table, render
from mpclean.release.versioning import LEVELS, bump
from mpclean.vocabulary.schema import COLUMNS, PARTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOLERANCES", "Difference", "diff", "diff_tables"]


@dataclass(frozen=True, repr=False)
class Difference:
    """What differs between A and B.

    Attributes
    ----------
    a, b
        What they are.
    tolerance
        By unit, the difference up to which numbers are the same.
    built
        By name, the ``a`` and ``b`` of parameters, of what the source is, and of libraries that are not
        the same in both releases: what may be why all else differs, and no difference by itself.
    came, went
        ``material_id, rule, reason``: records that only B, or only A, keeps (of a snapshot: that can
        be read), and how the other side excluded them; null where it does not know them.
    moved
        By each split that both have, ``material_id, a, b``: records of both with another part, null
        for none.
    changed
        By column, ``structure`` and ``bonds``, see `mpclean.inspection.diff.values.differing`.
    ledger_came, ledger_went, ledger_changed
        Records excluded in one or in both, see `mpclean.inspection.diff.ledgers.ledger_difference`.
    columns, splits
        Names of those that ``came`` and ``went``.
    reasons
        What asks for a new version, as ``(level, words)``; empty where a side is a snapshot.
    """

    a: dict[str, Any]
    b: dict[str, Any]
    tolerance: dict[str, float]
    built: dict[str, dict[str, Any]]
    came: pa.Table
    went: pa.Table
    moved: dict[str, pa.Table]
    changed: dict[str, pa.Table]
    ledger_came: pa.Table
    ledger_went: pa.Table
    ledger_changed: dict[str, pa.Table]
    columns: dict[str, list[str]]
    splits: dict[str, list[str]]
    reasons: list[tuple[str, str]]

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        tables = (self.came, self.went, self.ledger_came, self.ledger_went)
        found = (self.moved, self.changed, self.ledger_changed, *self.columns.values(), *self.splits.values())
        return any(table.num_rows for table in tables) or any(found)

    @property
    def level(self) -> str | None:
        """Name the part of the version that is to rise; None for none."""
        return min((level for level, _ in self.reasons), key=LEVELS.index, default=None)

    @property
    def version(self) -> str | None:
        """Give the version that B should have after A; None where a side is a snapshot."""
        if "release_version" not in self.a or "release_version" not in self.b:
            return None
        return bump(self.a["release_version"], self.level)

    @property
    def conclusion(self) -> str:
        """Say in a line whether they differ, and which version this asks for."""
        same = "" if self else "no record differs; "
        if self.version is None:
            return same + "a snapshot has no version, and holds what rules exclude"
        if self.level is None:
            return f"{same}version {self.version} stays"
        words = "; ".join(words for level, words in self.reasons if level == self.level)
        stated = self.b["release_version"]
        first = self.a["release_version"]
        return f"{same}version {first} -> {self.version} ({self.level}: {words}); B states {stated}"

    def summary(self) -> dict[str, Any]:
        """Give what ``mpclean diff --json`` prints."""
        return {
            **{field.name: _plain(getattr(self, field.name)) for field in fields(self)},
            "differ": bool(self),
            "level": self.level,
            "version": self.version,
        }

    def to_pandas(self) -> pd.DataFrame:
        """Give every record that differs as a data frame: ``difference``, and the columns of its table."""
        import pandas as pd

        tables = {
            "came": self.came,
            "went": self.went,
            **{f"moved in {name}": table for name, table in self.moved.items()},
            **{f"changed {name}": table for name, table in self.changed.items()},
            "came into the ledger": self.ledger_came,
            "went from the ledger": self.ledger_went,
            **{f"changed {name} in the ledger": table for name, table in self.ledger_changed.items()},
        }
        frames = [t.to_pandas().assign(difference=what) for what, t in tables.items() if t.num_rows]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"difference": []})

    def __repr__(self) -> str:
        return f"Difference({self.conclusion})"

    def _repr_html_(self) -> str:
        return "\n".join(render(table, "html") for table in diff_tables(self)) or escape(self.conclusion)


def diff(
    a: Release | str | Path,
    b: Release | str | Path,
    tolerance: Mapping[str, float] | None = None,
    workers: int | None = None,
) -> Difference:
    """Compare two releases, or a release and a snapshot; the command ``mpclean diff``.

    Parameters
    ----------
    a, b
        Releases, or their folders; one may be a snapshot, as ``mpclean build --source`` takes it.
    tolerance
        By unit, in place of that of `TOLERANCES`.
    workers
        Processes for the work on the crystals of a snapshot; the number of usable cores by default.

    Raises
    ------
    UserError
        If a side cannot be read, neither is a release, or a unit is none.

    Examples
    --------
    >>> mpclean.diff("releases/old", "releases/new")  # doctest: +SKIP
    Difference(version 1.0.0 -> 2.0.0 (major: 3 records went); B states 1.0.0)
    """
    within = {**TOLERANCES, **(tolerance or {})}
    if unknown := within.keys() - TOLERANCES.keys():
        raise UserError(f"--tolerance: {closest('unit', unknown.pop(), filter(None, TOLERANCES))}")
    first, second = open_sides(a, b, workers)
    if isinstance(first, Release):
        return _difference(first, second, within, turned=False)
    assert isinstance(second, Release)
    return _difference(second, first, within, turned=True)


def _difference(base: Release, other: Side, tolerance: dict[str, float], turned: bool) -> Difference:
    """Compare a base that is a release with the other side; turned if the other one is A."""
    ids = [rows["material_id"].combine_chunks() for rows in base.batches(columns=["material_id"])]
    kept = pa.chunked_array(ids, pa.string())
    theirs = other.columns if isinstance(other, Snapshot) else other.manifest.columns
    shared = [name for name in base.manifest.columns if name in theirs]
    changed, other_kept = _changed(base, other, ids, shared, tolerance, turned)

    left, other_left = base.ledger(), other.ledger if isinstance(other, Snapshot) else other.ledger()
    if isinstance(other, Snapshot):
        # A snapshot went through no rule but the first, so what later ones excluded could be read.
        unreadable = pc.equal(left["rule"], "record")
        readable = pc.unique(left.filter(pc.invert(unreadable))["material_id"])
        kept, left = pa.chunked_array([*kept.chunks, readable]), left.filter(unreadable)
    sides = [(kept, left), (other_kept, other_left)]
    (kept_a, left_a), (kept_b, left_b) = reversed(sides) if turned else sides
    a, b = (other, base) if turned else (base, other)
    moved: dict[str, pa.Table] = {}
    columns = splits = _names([], [])
    built = {}
    if isinstance(a, Release) and isinstance(b, Release):
        both = kept_a.filter(pc.is_in(kept_a, value_set=kept_b))
        common = [name for name in a.splits if name in b.splits]
        moved = {name: _moved(both, a.assigned(name), b.assigned(name)) for name in common}
        columns = _names(_columns(a, left_a), _columns(b, left_b))
        splits = _names(a.splits, b.splits)
        built = _built(a, b)
    ledger = ledger_difference(left_a, left_b, kept_a, kept_b, tolerance)
    found = Difference(
        a=facts(a),
        b=facts(b),
        tolerance=tolerance,
        built=built,
        came=fates(kept_b.filter(pc.invert(pc.is_in(kept_b, value_set=kept_a))), left_a),
        went=fates(kept_a.filter(pc.invert(pc.is_in(kept_a, value_set=kept_b))), left_b),
        moved={name: table for name, table in moved.items() if table.num_rows},
        changed=changed,
        ledger_came=ledger[0],
        ledger_went=ledger[1],
        ledger_changed=ledger[2],
        columns=columns,
        splits=splits,
        reasons=[],
    )
    if isinstance(a, Release) and isinstance(b, Release):
        found.reasons.extend(_reasons(found, a, b))
    return found


def _changed(
    base: Release,
    other: Side,
    ids: list[pa.Array],
    columns: list[str],
    tolerance: dict[str, float],
    turned: bool,
) -> tuple[dict[str, pa.Table], pa.ChunkedArray]:
    """Find what differs in the records that both sides keep, and the ids that the other one keeps."""
    found: dict[str, list[pa.Table]] = {}
    with tempfile.TemporaryDirectory() as folder:
        other_kept = _sorted_by_group(other, ids, columns, Path(folder))
        groups = tqdm(
            base.batches(columns=columns), total=len(ids), desc="comparing", unit=" groups", disable=None
        )
        for number, rows in enumerate(groups):
            path = Path(folder) / f"{number}.arrow"
            if not path.exists():
                continue
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                others = reader.read_all()
            place = pc.index_in(rows["material_id"], value_set=others["material_id"])
            here = rows.filter(place.is_valid())
            there = others.take(place.drop_null())
            pair = (there, here) if turned else (here, there)
            for name, table in differing(*pair, tolerance).items():
                found.setdefault(name, []).append(table)
    order = [*columns, "structure", "bonds"]
    return {name: pa.concat_tables(found[name]) for name in sorted(found, key=order.index)}, other_kept


def _sorted_by_group(other: Side, ids: list[pa.Array], columns: list[str], folder: Path) -> pa.ChunkedArray:
    """Write rows of the other side into a file for each group of ids; the ids that the other side keeps."""
    starts = np.cumsum([0, *map(len, ids)])
    whole = pa.chunked_array(ids, pa.string())
    kept = []
    writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
    total = other.source.n_documents if isinstance(other, Snapshot) else sum(other.manifest.splits.values())
    with tqdm(total=total, desc="reading", unit=" crystals", disable=None) as bar:
        for rows in _rows(other, columns):
            kept.append(rows["material_id"])
            place = pc.index_in(rows["material_id"], value_set=whole)
            rows, place = rows.filter(place.is_valid()), place.drop_null().to_numpy()
            group = np.searchsorted(starts, place, side="right") - 1
            for number in np.unique(group).tolist():
                if number not in writers:
                    options = pa.ipc.IpcWriteOptions(compression="lz4")
                    writers[number] = pa.ipc.new_stream(
                        str(folder / f"{number}.arrow"), rows.schema, options=options
                    )
                writers[number].write_table(rows.filter(pa.array(group == number)))
            bar.update(len(kept[-1]))
    for writer in writers.values():
        writer.close()
    if isinstance(other, Snapshot):
        return other.readable
    return pa.chunked_array([chunk for column in kept for chunk in column.chunks], pa.string())


def _rows(side: Side, columns: list[str]) -> Iterator[pa.Table]:
    if isinstance(side, Snapshot):
        return (rows.select(columns) for rows in side.batches())
    return side.batches(columns=columns)


def _moved(both: pa.ChunkedArray, a: pa.Table, b: pa.Table) -> pa.Table:
    """Find records of both sides that are in another part of a split, or in none of it any more."""
    parts = [s["split"].take(pc.index_in(both, value_set=s["material_id"])) for s in (a, b)]
    same = pc.fill_null(pc.equal(*parts), pc.and_(parts[0].is_null(), parts[1].is_null()))
    return pa.table([both, *parts], names=["material_id", "a", "b"]).filter(pc.invert(same))


def _built(a: Release, b: Release) -> dict[str, dict[str, Any]]:
    """Find parameters, facts about the source and libraries that are not the same."""
    first, second = (
        {**m.parameters.as_dict(), "source": m.upstream.sha256, **m.libraries}
        for m in (a.manifest, b.manifest)
    )
    both = ((name, {"a": first.get(name), "b": second.get(name)}) for name in {**first, **second})
    return {name: values for name, values in both if values["a"] != values["b"]}


def _columns(release: Release, ledger: pa.Table) -> list[str]:
    return [*release.manifest.columns, *(f"{name} of the ledger" for name in ledger.column_names)]


def _names(a: list[str], b: list[str]) -> dict[str, list[str]]:
    return {
        "came": [name for name in b if name not in a],
        "went": [name for name in a if name not in b],
    }


def _reasons(found: Difference, a: Release, b: Release) -> list[tuple[str, str]]:
    """List what asks for a new version of A's successor, by the rule of `mpclean.release.versioning`."""
    extended = _extended(found.came["material_id"], a, b)
    came = found.came.num_rows
    reasons = [
        ("major", f"{found.went.num_rows:,} records went", found.went.num_rows),
        ("major", f"records came into {', '.join(extended)}", extended),
        ("minor", f"{came:,} records came, into parts that were empty", came and not extended),
        *(("major", f"{t.num_rows:,} moved in the split {name}", True) for name, t in found.moved.items()),
        *(("major", f"{t.num_rows:,} changed in {name}", True) for name, t in found.changed.items()),
        *(("major", f"the column {name} went", True) for name in found.columns["went"]),
        *(("minor", f"the column {name} came", True) for name in found.columns["came"]),
        *(("major", f"the split {name} went", True) for name in found.splits["went"]),
        *(("minor", f"the split {name} came", True) for name in found.splits["came"]),
        *(
            ("major", f"{t.num_rows:,} changed in {name} of the ledger", True)
            for name, t in found.ledger_changed.items()
        ),
        ("major", f"{found.ledger_went.num_rows:,} rows of the ledger went", found.ledger_went.num_rows),
        ("minor", f"{found.ledger_came.num_rows:,} rows of the ledger came", found.ledger_came.num_rows),
    ]
    asked = [(level, words) for level, words, holds in reasons if holds]
    if not asked and a.manifest != b.manifest:
        return [("patch", "the same records, written otherwise")]
    return asked


def _extended(came: pa.ChunkedArray, a: Release, b: Release) -> list[str]:
    """List the parts of splits of both that had records in A, and into which others came."""
    extended = []
    for name in (name for name in a.splits if name in b.splits):
        assigned = b.assigned(name)
        new = assigned["split"].filter(pc.is_in(assigned["material_id"], value_set=came)).unique()
        known = a.assigned(name)["split"].unique()
        parts = new.filter(pc.is_in(new, value_set=known)).to_pylist()
        extended += [f"{part} of {name}" for part in PARTS if part in parts]
    return extended


def _plain(value: Any) -> Any:
    """Turn tables into lists of rows, for JSON."""
    if isinstance(value, pa.Table):
        return value.to_pylist()
    return {name: _plain(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def diff_tables(found: Difference) -> list[Table]:
    """Make the tables of a difference: what, how many records, and the first of them."""
    rows = [_row("came", found.came), _row("went", found.went)]
    rows += [_row(f"moved in {name}", table) for name, table in found.moved.items()]
    for name, table in found.changed.items():
        unit = {"structure": "A", "bonds": "A"}.get(name) or (COLUMNS[name].unit if name in COLUMNS else "")
        rows.append(_row(f"changed {name}" + (f" ({unit})" if unit else ""), table))
    rows += [_row("came into the ledger", found.ledger_came), _row("went from the ledger", found.ledger_went)]
    rows += [_row(f"changed {name} in the ledger", table) for name, table in found.ledger_changed.items()]
    for what in ("columns", "splits"):
        for way, names in getattr(found, what).items():
            rows.append([f"{what} {way}", f"{len(names):,}", ", ".join(names[:3])])
    shown = [row for row in rows if row[1] != "0"]
    return [(["difference", "records", "such as"], shown)] if shown else []


def _row(what: str, table: pa.Table) -> list[str]:
    return [what, f"{table.num_rows:,}", "; ".join(map(_example, table.slice(0, 3).to_pylist()))]


def _example(row: dict[str, Any]) -> str:
    """Tell a record and what is known of it: ``mp-1 (0.5 -> 0.7)``, ``mp-2 (duplicate)``."""
    words = []
    if "a" in row:
        words.append(f"{_text(row['a'])} -> {_text(row['b'])}")
    if row.get("difference") is not None:
        words.append(f"by {row['difference']:.3g}")
    words += [row["rule"]] if row.get("rule") else []
    return f"{row['material_id']}" + (f" ({', '.join(words)})" if words else "")


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
