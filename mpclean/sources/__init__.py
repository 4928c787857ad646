"""Where records come from; each source yields documents and says who it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mpclean.errors import UserError
from mpclean.sources.base import DOCUMENTS, Identity, Source
from mpclean.sources.records import open_records


def _demo(path: Path | None) -> Source:
    from mpclean.sources.demo import open_demo

    if path is not None:
        raise UserError(f"the source demo is embedded and takes no path; leave out --source {path}")
    return open_demo()


def _perov5(path: Path | None) -> Source:
    from mpclean.downloads import fetch
    from mpclean.sources.perov5 import open_perov5
    from mpclean.versions import find_version

    data = find_version("perov-5").data
    assert data is not None
    return open_perov5(path or fetch("perov-5", data, "give --source FOLDER with train, val and test.csv"))


def _records(path: Path | None) -> Source:
    if path is None:
        raise UserError("a snapshot is named by its path: --source PATH (Parquet, JSON lines, JSON, YAML)")
    return open_records(path)


#: How to open each kind of source; a path where it needs one.
SOURCES: dict[str, Callable[[Path | None], Source]] = {
    "demo": _demo,
    "perov-5": _perov5,
    "records": _records,
}

__all__ = ["DOCUMENTS", "SOURCES", "Identity", "Source"]
