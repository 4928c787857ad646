"""The two sides of a comparison: a release, or a snapshot that one could be built from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mpclean.crystal.cells import canonical_cell
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError
from mpclean.pipeline.cores import usable_cores
from mpclean.pipeline.executor import Rescue, run
from mpclean.pipeline.steps import PrepareTask, lost_record, prepare
from mpclean.release.layout import MANIFEST
from mpclean.release.reader import CRYSTAL, Release, open_release
from mpclean.rules.record import Record
from mpclean.sources import Source, known_sources, open_source, recognise
from mpclean.vocabulary.schema import COLUMNS, KEY, LEDGER, PREPARED


@dataclass
class Snapshot:
    """A snapshot, read once; what it knows is which records can be read, and their crystals and labels.

    Attributes
    ----------
    origin
        Its path, or the name of a source.
    source
        The source.
    workers
        Processes for the work on crystals.
    readable
        Ids of the records that can be read, once `batches` is at its end.
    ledger
        The records that cannot, as the rule `record` of a build has them; likewise.
    """

    origin: str
    source: Source
    workers: int
    readable: pa.ChunkedArray = field(default_factory=lambda: pa.chunked_array([], pa.string()))
    ledger: pa.Table = field(default_factory=LEDGER.empty_table)

    @property
    def columns(self) -> list[str]:
        """Name what is known of its records."""
        return PREPARED.names

    def batches(self) -> Iterator[pa.Table]:
        """Yield its readable records with the `columns`, in their canonical cells."""
        keys = []
        rescue = Rescue(PrepareTask.parts, lost_record, pa.concat_batches)
        for batch in run(_crystals, self._tasks(), self.workers, rescue):
            keys.append(batch.select(KEY.names))
            yield pa.Table.from_batches([batch.filter(batch["reason"].is_null())])
        kept, self.ledger = Record().apply(pa.Table.from_batches(keys, schema=KEY))
        self.readable = kept["material_id"]

    def _tasks(self) -> Iterator[PrepareTask]:
        position = 0
        for batch in self.source.batches():
            yield PrepareTask(batch, position)
            position += batch.num_rows


Side = Release | Snapshot


def open_sides(
    a: Release | str | Path, b: Release | str | Path, workers: int | None = None
) -> tuple[Side, Side]:
    """Open both sides of a comparison.

    Parameters
    ----------
    a, b
        A release, or a snapshot as ``mpclean build --source`` takes it, which is read with the options
        that the release was built with.
    workers
        Processes for the work on the crystals of a snapshot; the number of usable cores by default.

    Raises
    ------
    UserError
        If a side cannot be opened, none is a release, or the files of one are not those of its manifest.
    """
    sides = [
        open_release(side) if isinstance(side, Release) or (Path(side) / MANIFEST).is_file() else side
        for side in (a, b)
    ]
    releases = [side for side in sides if isinstance(side, Release)]
    for release in releases:
        release.require_intact()
    if not releases:
        raise UserError(
            f"neither {a} nor {b} is a release; build one of them first: mpclean build --source {a} --out DIR"
        )
    parameters = releases[0].manifest.parameters.as_dict()
    first, second = (
        side if isinstance(side, Release) else _snapshot(side, parameters, workers) for side in sides
    )
    return first, second


def _snapshot(path: str | Path, parameters: dict[str, Any], workers: int | None) -> Snapshot:
    place = None if str(path) in known_sources() else Path(path)
    name = str(path) if place is None else recognise(place)
    takes = known_sources()[name].name_options if place is None else known_sources()[name].options
    options = {option: parameters.get(option) for option in takes}
    return Snapshot(str(path), open_source(name, place, **options), workers or usable_cores())


def facts(side: Side) -> dict[str, Any]:
    """Give what tells a side from another."""
    if isinstance(side, Snapshot):
        return {"snapshot": side.origin, "sha256": side.source.identity.sha256}
    return {
        "release": str(side.path),
        "release_version": side.manifest.release_version,
        "content_hash": side.content_hash,
    }


def _crystals(task: PrepareTask) -> pa.RecordBatch:
    """Give what `prepare` makes of a batch of documents, in the canonical cells of a release."""
    batch = prepare(task)
    rows = batch.select([*CRYSTAL, "bravais_lattice"]).to_pylist()
    cells = [
        canonical_cell(Crystal.from_row(row), row["bravais_lattice"]).crystal if row["lattice"] else None
        for row in rows
    ]
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in CRYSTAL:
        values = [getattr(cell, name, None) for cell in cells]
        columns[name] = pa.array([v if v is None else v.ravel() for v in values], COLUMNS[name].type)
    return pa.RecordBatch.from_pydict(columns, schema=PREPARED)
