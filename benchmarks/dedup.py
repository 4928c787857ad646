"""How many merges of the paper's key are distinct phases, and what it costs to know, with the audit.

From a release of mp_records.parquet: the records that its ledger calls duplicates, and those that
stayed for them, are read from the snapshot once more and compared as a build does.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from common import data_folder, save

from mpclean import open_release
from mpclean.inspection.audit import audit
from mpclean.pipeline.passes import Passes
from mpclean.pipeline.plan import RADIUS_CUTOFF
from mpclean.pipeline.steps import Bonds
from mpclean.release.manifest import Duplicates
from mpclean.release.tables import merge_statistics
from mpclean.rules.duplicate import Dedup, Duplicate
from mpclean.rules.record import Record
from mpclean.sources.records import open_records
from mpclean.vocabulary.ids import normalise_id
from mpclean.vocabulary.schema import KEY

#: Worker processes: the issue asks for less than 15 minutes on so many cores.
WORKERS = 2


@contextmanager
def clock(into: dict[str, dict[str, float]], name: str) -> Iterator[None]:
    """Seconds on the wall, and of the processors with those of worker processes that have ended."""

    def now() -> tuple[float, float]:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages)

    begin = now()
    yield
    into[name] = dict(zip(("wall", "cpu"), (b - a for a, b in zip(begin, now(), strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    release = open_release(parser.parse_args().release)
    ledger = release.ledger()
    duplicates = ledger.filter(pc.equal(ledger["rule"], "duplicate"))
    ids = {*duplicates["material_id"].to_pylist(), *duplicates["kept_id"].to_pylist()}
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        records = pq.read_table(data_folder() / "mp_records.parquet")
        chosen = [normalise_id(name) in ids for name in records["material_id"].to_pylist()]
        pq.write_table(records.filter(pa.array(chosen)), Path(folder) / "tied.parquet")
        source = open_records(Path(folder) / "tied.parquet")
        passes = Passes(Path(folder), source, Bonds("voronoi", 0.0, RADIUS_CUTOFF), None, WORKERS)
        passes.prepare(None)
        keys, _ = Record().apply(passes.keys(KEY.names))
        with clock(seconds, "comparison"):
            keys = passes.match(keys)
    found = merge_statistics((how, Duplicate(how).apply(keys)[1]) for how in get_args(Dedup))
    if release.manifest.duplicates != Duplicates.model_validate(found):
        raise SystemExit("the verdicts are not those of the release: build it with this code")
    with clock(seconds, "audit"):
        audit(release, WORKERS)

    by_key, by_structure = (found["excluded"][name] for name in get_args(Dedup))
    rows = [
        [
            name,
            f"{verdict['records']:,}",
            f"{verdict['records'] / by_key:.1%}",
            *(
                "" if verdict[spread] is None else f"{verdict[spread]:.3f}"
                for spread in ("median", "percentile_90")
            ),
            ", ".join(f"{one['material_id']} and {one['kept_id']}" for one in verdict["examples"][1:4]),
        ]
        for name, verdict in found["verdicts"].items()
    ]
    spent = "; ".join(
        f"{name} {time['wall']:.0f} s, of processors {time['cpu']:.0f} s" for name, time in seconds.items()
    )
    save(
        "dedup",
        f"Merges of the paper's key in {release.path.name}, by StructureMatcher",
        ["structures", "merges", "share", "median eV/atom", "90th percentile", "such as"],
        rows,
        f"Of {by_key:,} merges by formula and space group. `--rule dedup=structure` makes {by_structure:,}, "
        f"and keeps {by_key - by_structure:,} crystals more before the other rules. Energies are above those "
        "of "
        "the record that stayed. On "
        f"{WORKERS} processes: {spent}.",
        seconds=seconds,
        **found,
    )


if __name__ == "__main__":
    main()
