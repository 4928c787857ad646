"""Tables of keys, a few columns at a time."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mpclean.schema import BONDS, KEY

_BOND_FIELDS = [field for field in BONDS if field.name not in KEY.names]


@pytest.fixture(scope="session")
def keys():
    """From rows with some of the columns of a key and of its bonds to a table with all of them."""

    def make(*rows):
        filled = [{"position": n} | row for n, row in enumerate(rows)]
        return pa.Table.from_pylist(filled, schema=pa.schema([*KEY, *_BOND_FIELDS]))

    return make
