"""The stream of documents, and who it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.demo.defects import Document
from mpclean.sources.demo.prototypes import PROTOTYPES
from mpclean.sources.demo.recipes import COUNTS, recipes
from mpclean.sources.demo.summaries import summary

#: Everything random comes from it.
SEED = 20221201

#: Raised whenever the documents change.
VERSION = "1"


def open_demo() -> Source:
    """Open the embedded synthetic source; opening it costs nothing, reading it a few seconds."""
    recipe = {
        "version": VERSION,
        "seed": SEED,
        "prototypes": [asdict(prototype) for prototype in PROTOTYPES],
        "counts": COUNTS,
    }
    return Source(
        identity=Identity(
            name="demo",
            database_version=None,
            sha256=hashlib.sha256(json.dumps(recipe).encode()).hexdigest(),
            licence="CC-BY-4.0",
            citation="Synthetic data of mpclean: invented crystals with made-up labels, no real material",
            synthetic=True,
        ),
        batches=_batches,
        n_documents=sum(COUNTS.values()),
    )


def _batches() -> Iterator[pa.RecordBatch]:
    return batched_documents(
        (f"demo:{i}", json.dumps(document).encode(), None) for i, document in enumerate(documents(), 1)
    )


def documents() -> Iterator[Document]:
    """Every document, the cases mixed; the same in every run.

    Yields
    ------
    dict
        In the shape of a summary document of the Materials Project.
    """
    rng = np.random.default_rng(SEED)
    made = list(recipes(rng))
    for number, index in enumerate(rng.permutation(len(made)), 1):
        recipe = made[index]
        yield recipe.spoil(summary(recipe, f"demo-{number}"))
