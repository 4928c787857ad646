"""Tables of keys, a few columns at a time."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mpclean.vocabulary.schema import BONDS, KEY, MATCHES

_LATER_FIELDS = [field for field in (*MATCHES, *BONDS) if field.name not in KEY.names]


@pytest.fixture(scope="session")
def keys():
    """From rows with some of the columns of a key, of what it matches and of its bonds to all of them."""

    def make(*rows):
        filled = [{"position": n, "structure_class": n} | row for n, row in enumerate(rows)]
        return pa.Table.from_pylist(filled, schema=pa.schema([*KEY, *_LATER_FIELDS]))

    return make
