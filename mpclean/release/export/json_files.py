"""Crystals as pymatgen dictionaries in JSON: lines that `mpclean build` reads, and Matbench's tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson

from mpclean.release.export.base import Entries


def write_jsonl(entries: Entries, path: Path) -> None:
    """Write a line for every crystal: ``structure`` and, beside it, the labels under their names."""
    with path.open("wb") as file:
        for crystal, labels in entries:
            file.write(orjson.dumps(labels | {"structure": crystal.to_pymatgen().as_dict()}) + b"\n")


def write_matbench(entries: Entries, path: Path, target: str) -> None:
    """Write a table as matminer stores data sets, Matbench's among them: gzipped JSON of a data frame.

    Its index is the ids, its columns ``structure`` and the target; matminer's
    ``load_dataframe_from_json`` reads it. Dunn et al. 2020, doi 10.1038/s41524-020-00406-3.
    """
    index: list[str] = []
    # Neither name nor time in the head of the archive: equal releases give equal bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        file.write(b'{"columns":' + orjson.dumps(["structure", target]) + b',"data":[')
        for crystal, labels in entries:
            file.write(b",\n" if index else b"\n")
            file.write(orjson.dumps([crystal.to_pymatgen().as_dict(), labels[target]]))
            index.append(labels["material_id"])
        file.write(b'],"index":' + orjson.dumps(index) + b"}\n")
