"""What a rule is: a pure step from a table to what stays and what leaves.

A rule sees key columns only, never structures. Adding one is a file in this folder and an
entry in `mpclean.rules.RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary.schema import LEDGER

#: Rows of a column that is the same in all of them.
_PIECE = 4096

Partition = tuple[pa.Table, pa.Table]


@dataclass(frozen=True)
class Rule:
    """One cleaning rule.

    Attributes
    ----------
    name
        Name in the ledger and in the plan of a version.
    title
        What is left after it, for tables.
    apply
        From a table of keys to ``(kept, dropped)``: the rows that stay, and ledger rows
        (`mpclean.vocabulary.schema.LEDGER`) of those that leave.
    needs_bonds
        True if it reads columns of `mpclean.vocabulary.schema.BONDS`, which are known for survivors of
        the rules before it only.
    needs_matches
        True if it reads columns of `mpclean.vocabulary.schema.MATCHES`, of survivors likewise.
    of_one
        True if it judges every record by itself, whatever the others are.
    """

    name: str
    title: str
    apply: Callable[[pa.Table], Partition]
    needs_bonds: bool = False
    needs_matches: bool = False
    of_one: bool = True


def partition(
    table: pa.Table,
    leaves: NDArray[np.bool_] | pa.Array | pa.ChunkedArray,
    rule: str,
    reason: str | pa.Array | pa.ChunkedArray,
    detail: pa.Array | pa.ChunkedArray,
    kept_id: pa.Array | None = None,
    energy_difference: pa.Array | None = None,
    structures_match: pa.Array | None = None,
) -> Partition:
    """Split a table by a mask into ``(kept, dropped)``.

    Parameters
    ----------
    table
        Keys of the records, with ``material_id``.
    leaves
        (N,) true for the rows that leave.
    rule, reason, detail, kept_id, energy_difference, structures_match
        Columns of the ledger, (N,) each or one value for all.
    """
    leaves = pa.array(leaves) if isinstance(leaves, np.ndarray) else leaves
    columns = {
        "material_id": table["material_id"],
        "rule": rule,
        "reason": reason,
        "detail": detail,
        "kept_id": kept_id,
        "energy_difference": energy_difference,
        "structures_match": structures_match,
    }
    if not pc.any(leaves).as_py():
        return table, LEDGER.empty_table()
    n = int(pc.sum(leaves).as_py() or 0)  # columns are as long as what leaves, which may be little of much
    held = {
        name: value if value is None or isinstance(value, str) else value.filter(leaves)
        for name, value in columns.items()
    }
    return table.filter(pc.invert(leaves)), ledger_rows(n, held)


def ledger_rows(n: int, columns: dict[str, str | pa.Array | pa.ChunkedArray | None]) -> pa.Table:
    """Rows of the ledger.

    Parameters
    ----------
    n
        How many.
    columns
        The columns of `mpclean.vocabulary.schema.LEDGER`: (n,) each or one value for all.
    """
    return pa.table(
        [
            _same(pa.scalar(value, field.type), n)
            if value is None or isinstance(value, str)
            else value.cast(field.type)
            for field, value in zip(LEDGER, (columns[name] for name in LEDGER.names), strict=True)
        ],
        schema=LEDGER,
    )


def _same(value: pa.Scalar, n: int) -> pa.ChunkedArray:
    """One value for n rows, of pieces that all lie in the same memory."""
    piece = pa.repeat(value, min(n, _PIECE))
    whole, rest = divmod(n, _PIECE)
    return pa.chunked_array([*([piece] * whole), piece.slice(0, rest)])
