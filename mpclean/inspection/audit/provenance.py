"""What rows state of themselves: whether their energies compare, and under which licence they are.

Energies compare where one scheme made them: one functional, Hubbard U throughout or not at all, one
scheme of corrections, one version of the database, since corrections and hulls change between
versions. The Materials Project mixes PBE with and without U by a correction that makes them
comparable on average; so a mixture is something to know, and no error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.vocabulary.functionals import HULLS, functional_name
from mpclean.vocabulary.schema import SOURCE_WORDS

#: Columns of a release that are read, where it has them.
COLUMNS = ("material_id", "reduced_formula", "formation_energy_per_atom", "is_hubbard", *SOURCE_WORDS)

#: Ids that are named of each kind.
_EXAMPLES = 3

_WITH_U, _WITHOUT_U = "with U", "without U"


@dataclass(frozen=True)
class Mixture:
    """Formation energies of several kinds in one release.

    Attributes
    ----------
    name
        Name in the JSON of an audit.
    title
        What is mixed, for tables.
    records
        Records of each kind, the most frequent first.
    examples
        The first ids of each kind, in string order.
    """

    name: str
    title: str
    records: dict[str, int]
    examples: dict[str, list[str]]


def mixtures(rows: pa.Table, hull: str | None) -> list[Mixture]:
    """Find in what ways the formation energies of a release are of several kinds.

    Parameters
    ----------
    rows
        Those of `COLUMNS` that the release has.
    hull
        One of `mpclean.vocabulary.functionals.HULLS`, where the source was asked for one.
    """
    rows = rows.filter(rows["formation_energy_per_atom"].is_valid()).sort_by("material_id")
    for name in COLUMNS:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    run_type, with_u = rows["run_type"], _with_u(rows)
    kinds = {
        "functional": ("functionals", _renamed(run_type, functional_name)),
        "hubbard": ("Hubbard U", with_u),
        "formula": ("Hubbard U within a formula", _where_both(with_u, rows["reduced_formula"])),
        "correction": ("correction schemes", rows["correction_scheme"]),
        "version": ("database versions", rows["database_version"]),
    }
    found = [Mixture(name, title, *_by_kind(kind, rows)) for name, (title, kind) in kinds.items()]
    found = [mixture for mixture in found if len(mixture.records) > 1]
    disagree = pc.not_equal(_renamed(run_type, _says_u), with_u)
    if contradictions := rows["material_id"].filter(pc.fill_null(disagree, False)).to_pylist():
        title = "run type and is_hubbard disagree"
        examples = contradictions[:_EXAMPLES]
        found.append(Mixture("contradiction", title, {title: len(contradictions)}, {title: examples}))
    if hull == "mixed":
        energies = HULLS[hull]
        examples = rows["material_id"][:_EXAMPLES].to_pylist()
        found.append(
            Mixture("hull", "hull of several functionals", {energies: rows.num_rows}, {energies: examples})
        )
    return found


def licences(rows: pa.Table, of_source: str) -> dict[str, dict[str, int]]:
    """Count the licences of rows: their own where they state one, else that of the source.

    Parameters
    ----------
    rows
        Rows of a release, with ``licence`` where it has that.
    of_source
        As in the manifest.

    Returns
    -------
    For each licence the ``records`` under it, and how many of them have it ``stated`` themselves.
    """
    stated = _counts(rows["licence"]) if "licence" in rows.column_names else {}
    inherited = rows.num_rows - sum(stated.values())
    return {
        name: {
            "records": stated.get(name, 0) + (inherited if name == of_source else 0),
            "stated": stated.get(name, 0),
        }
        for name in sorted({*stated, of_source} if inherited else stated)
    }


def _says_u(run_type: str) -> str:
    return _WITH_U if run_type.upper().endswith(("+U", "_U")) else _WITHOUT_U


def _with_u(rows: pa.Table) -> pa.ChunkedArray:
    """Say whether energies are with or without Hubbard U; null where nothing is stated."""
    flag = pc.if_else(rows["is_hubbard"].cast(pa.bool_()), _WITH_U, _WITHOUT_U)
    return pc.coalesce(flag, _renamed(rows["run_type"], _says_u))


def _where_both(with_u: pa.ChunkedArray, formulas: pa.ChunkedArray) -> pa.ChunkedArray:
    """Set to null the formulas of which all energies are of one kind."""
    kinds = (
        pa.table({"formula": formulas, "kind": with_u})
        .group_by("formula")
        .aggregate([("kind", "count_distinct")])
    )
    both = kinds["formula"].filter(pc.greater(kinds["kind_count_distinct"], 1))
    return pc.if_else(
        pc.is_in(formulas, value_set=both.combine_chunks()), with_u, pa.scalar(None, pa.string())
    )


def _renamed(words: pa.ChunkedArray, name: Callable[[str], str]) -> pa.ChunkedArray:
    """Replace words by their names; null stays null."""
    known = pc.unique(words.drop_null())
    names = pa.array([name(word) for word in known.to_pylist()], pa.string())
    return names.take(pc.index_in(words, value_set=known))


def _counts(words: pa.ChunkedArray) -> dict[str, int]:
    """Count rows by word, the most frequent first; null is none."""
    counted = [(entry["values"], entry["counts"]) for entry in words.drop_null().value_counts().to_pylist()]
    return dict(sorted(counted, key=lambda item: (-item[1], item[0])))


def _by_kind(kinds: pa.ChunkedArray, rows: pa.Table) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Count the records of each kind, and give the first ids of each."""
    counts = _counts(kinds)
    of_kind = {kind: pc.fill_null(pc.equal(kinds, kind), False) for kind in counts}
    return counts, {
        kind: rows["material_id"].filter(mask)[:_EXAMPLES].to_pylist() for kind, mask in of_kind.items()
    }
