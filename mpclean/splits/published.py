"""Splits that somebody else published, from lists or tables of ids."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mpclean.errors import UserError
from mpclean.rules.base import Partition, partition
from mpclean.sources.files import ending, read_text
from mpclean.sources.text_tables import read_csv
from mpclean.splits.base import Strategy
from mpclean.splits.random import shuffled
from mpclean.vocabulary.checks import repeated, report, violations
from mpclean.vocabulary.ids import normalise_id
from mpclean.vocabulary.schema import PARTS, SPLIT

#: Other names under which splits are published.
_ALIASES = {"valid": "validation", "val": "validation", "dev": "validation"}


def published(keys: pa.Table, split: pa.Table) -> tuple[Partition, pa.Table]:
    """Give records the split of a list; those on no list leave under the rule ``split``.

    Parameters
    ----------
    keys
        Table with ``material_id`` and ``nsites``.
    split
        Table of `mpclean.vocabulary.schema.SPLIT`.

    Returns
    -------
    parts
        ``(kept, excluded)`` of the records.
    assigned
        Table of `SPLIT` of the kept records, in the order of the list.
    """
    missing = pc.invert(pc.is_in(keys["material_id"], value_set=split["material_id"].combine_chunks()))
    detail = pc.binary_join_element_wise("nsites", keys["nsites"].cast(pa.string()), " ")
    parts = partition(keys, missing, "split", "on none of the lists of the split", detail)
    kept_ids = parts[0]["material_id"].combine_chunks()
    return parts, split.filter(pc.is_in(split["material_id"], value_set=kept_ids))


def _make(keys: pa.Table, lists: pa.Table) -> dict[str, pa.Table]:
    """Find the records that are on lists, in their order; the others get no part.

    Raises
    ------
    UserError
        If no record is on one.
    """
    listed = lists.filter(pc.is_in(lists["material_id"], value_set=keys["material_id"].combine_chunks()))
    if not listed.num_rows:
        raise UserError(
            f"no record is among the {len(lists):,} ids of the lists; give others with --lists PATH"
        )
    return {"": listed}


#: Of a release that was built with another split; what the lists are read from is its option ``lists``.
STRATEGY = Strategy("published", _make, {"lists": None})


def read_split(path: Path) -> pa.Table:
    """Read a split from a file or a folder.

    Parameters
    ----------
    path
        A table ``material_id, split`` (CSV, packed or not; Parquet; JSON: a list of such objects or an
        object of lists by split); a JSON list of ids alone, which is shuffled and cut in its
        order as the paper's was (`mpclean.splits.random.shuffled`); or a folder with one id
        list each in files ending in ``_train.json``, ``_valid.json`` (or ``_validation``,
        ``_val``) and ``_test.json``.

    Returns
    -------
    Table of `mpclean.vocabulary.schema.SPLIT`, ids in their one form.

    Raises
    ------
    UserError
        If it cannot be read, names an unknown split or has an id twice.
    """
    if not path.exists():
        raise UserError(
            f"{path}: no such file or folder; a split is a table, a list or a folder of lists of ids"
        )
    try:
        ids, names = _read_folder(path) if path.is_dir() else _read_table(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a split ({message:.200}); it needs the columns material_id, split"
        ) from error
    if not all(isinstance(text, str) for text in (*ids, *names)):
        raise UserError(f"{path}: not a split; ids and splits must be text")
    names = [_ALIASES.get(name, name) for name in names]
    if not ids:
        raise UserError(f"{path}: the split names no id")
    table = pa.table([[normalise_id(i) for i in ids], names], schema=SPLIT)
    if found := [*violations(table, SPLIT), *repeated(table["material_id"])]:
        raise UserError(report(str(path), found))
    return table


def _read_folder(path: Path) -> tuple[list[str], list[str]]:
    ids: list[str] = []
    names: list[str] = []
    for split in PARTS:
        endings = [split, *(alias for alias, name in _ALIASES.items() if name == split)]
        files = [file for ending in endings for file in sorted(path.glob(f"*_{ending}.json"))]
        if len(files) != 1:
            raise ValueError(f"{len(files)} files end in _{split}.json, one is needed")
        listed = json.loads(files[0].read_bytes())
        if not isinstance(listed, list):
            raise ValueError(f"{files[0].name} is not a list of ids")
        ids += listed
        names += [split] * len(listed)
    return ids, names


def _read_table(path: Path) -> tuple[list[str], list[str]]:
    if ending(path, (".json",)):
        content = json.loads(read_text(path))
        if isinstance(content, dict):
            pairs = [(material_id, split) for split, listed in content.items() for material_id in listed]
        elif not isinstance(content, list):
            raise ValueError(f"a {type(content).__name__} where a list was expected")
        elif all(isinstance(entry, str) for entry in content):
            split = shuffled(content)
            return split["material_id"].to_pylist(), split["split"].to_pylist()
        else:
            pairs = [(row["material_id"], row["split"]) for row in content]
        return [material_id for material_id, _ in pairs], [split for _, split in pairs]
    if ending(path, (".parquet",)):
        columns = pq.read_table(path, columns=["material_id", "split"])
        return columns["material_id"].to_pylist(), columns["split"].to_pylist()
    try:
        table = read_csv(path)
    except UserError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from error
    ids, names = ((table.header or ()).index(name) for name in ("material_id", "split"))
    return [cells[ids] or "" for _, cells in table.rows], [cells[names] or "" for _, cells in table.rows]
