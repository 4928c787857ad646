"""What a rule is: a pure step from a table to what is kept and what is excluded.

A rule sees key columns only, never structures. It declares which ones; from that a build derives what
must be known of the crystals before the rule can run (`Rule.after_matches`, `Rule.after_bonds`), and
holds no other column in memory. Its parameters are its fields, which ``mpclean build --rule`` sets and
the manifest records. `docs/adding.md` has the recipe for a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary.schema import BONDED, LEDGER, MATCHES, PREPARED

#: Rows of a column that is the same in all of them.
_PIECE = 4096

Partition = tuple[pa.Table, pa.Table]

#: Columns that are known once structures have been compared, and once bonds have been found.
_MATCHED = frozenset(MATCHES.names) - set(PREPARED.names)
_BONDED = frozenset(BONDED.names) - set(PREPARED.names)


@dataclass(frozen=True)
class Rule(ABC):
    """A cleaning rule with its parameters, which are the fields of the class derived from this one.

    A field has a default and a type that `pydantic` can check, as ``Annotated[int, Ge(1)]``.

    Examples
    --------
    >>> from mpclean.rules.size import Size
    >>> Size(max_atoms=100).title
    'at most 100 atoms'
    """

    name: ClassVar[str]
    """Name in the ledger and on the command line."""

    columns: ClassVar[tuple[str, ...]]
    """Key columns that it reads: of `mpclean.vocabulary.schema.PREPARED`, `MATCHES` or `BONDED`.

    ``reason`` and ``detail`` are those of the record, or those of its bonds where it also reads a column
    that only bonds give. Every rule may read ``position``, ``material_id`` and ``nsites`` besides.
    """

    of_one: ClassVar[bool] = True
    """Whether it judges every record by itself, and so a single one too."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the records that it keeps have in common, for tables."""

    @abstractmethod
    def apply(self, keys: pa.Table) -> Partition:
        """Part a table of keys into what is kept and what is excluded; see `partition`.

        Parameters
        ----------
        keys
            With `columns`, in the order of the source.

        Returns
        -------
        kept
            The rows that are kept, unchanged and in their order.
        excluded
            Rows of `mpclean.vocabulary.schema.LEDGER`, one for each of the others.
        """

    @property
    def parameters(self) -> dict[str, Any]:
        """Its fields by name, for the manifest."""
        return asdict(self)

    @property
    def after_matches(self) -> bool:
        """Whether structures must have been compared before it runs."""
        return not _MATCHED.isdisjoint(self.columns)

    @property
    def after_bonds(self) -> bool:
        """Whether bonds must have been found before it runs; of what was excluded earlier they are not."""
        return not _BONDED.isdisjoint(self.columns)


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
    """Split a table by a mask into ``(kept, excluded)``.

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
