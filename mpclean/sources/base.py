"""What a source is: a stream of JSON documents that says who it is.

A source hands out documents as bytes and does no chemistry: documents become crystals in
`mpclean.sources.documents`, in the worker processes. So a new source is one file that knows where
its documents lie, and one entry in `mpclean.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mpclean.vocabulary.labels import Label
from mpclean.vocabulary.schema import DOCUMENTS

#: Documents in a batch: large enough for a worker to be busy for seconds, small enough to
#: hold many in memory.
BATCH_SIZE = 256

#: A batch ends early beyond this many bytes, which 256 documents of the Materials Project do not reach.
BATCH_BYTES = 64 << 20

#: Licence and citation of records that state none; they are never guessed.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Identity:
    """Who a source is, as the manifest of a release records it.

    Attributes
    ----------
    name
        Name of the source, as in ``--source``.
    database_version
        Upstream version that the source itself states; None where it states none.
    sha256
        Hash of the bytes that were read; of the generator's parameters for `demo`.
    licence
        SPDX-like name of the licence of the records.
    citation
        How to cite the records, one line.
    synthetic
        True where the labels were made up and describe no real material.
    """

    name: str
    database_version: str | None
    sha256: str
    licence: str
    citation: str
    synthetic: bool = False


@dataclass(frozen=True)
class Source:
    """A stream of documents with an identity.

    Attributes
    ----------
    identity
        Who it is.
    batches
        Called to read the documents, from the first to the last, as batches of `DOCUMENTS`.
    n_documents
        Their number where it is known beforehand, for progress.
    published_split
        Table ``material_id, split`` where the source comes with one.
    parameters
        What the source was asked for and its documents depend on; recorded in the manifest.
    labels
        Fields of its documents that the schema does not know and that it names itself, as a header does.
    """

    identity: Identity
    batches: Callable[[], Iterator[pa.RecordBatch]]
    n_documents: int | None = None
    published_split: pa.Table | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()


def batched_documents(
    documents: Iterable[tuple[str, bytes | None, str | None]],
) -> Iterator[pa.RecordBatch]:
    """Collect ``(location, document, problem)`` into batches of `DOCUMENTS`."""
    rows: list[tuple[str, bytes | None, str | None]] = []
    size = 0
    for row in documents:
        rows.append(row)
        size += len(row[1] or b"")
        if len(rows) == BATCH_SIZE or size > BATCH_BYTES:
            yield _batch(rows)
            rows, size = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[str, bytes | None, str | None]]) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), DOCUMENTS, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in columns], schema=DOCUMENTS
    )
