"""What a strategy is: which record is trained on and which is held back, by a rule.

A strategy sees keys only, never structures. `docs/adding.md`
has the recipe for a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mpclean.vocabulary.schema import PARTS, SPLIT

#: Share of the records in train, validation and test.
FRACTIONS = (0.8, 0.1, 0.1)

#: Seed of every shuffle.
SEED = 0


@dataclass(frozen=True)
class Strategy:
    """One way to split.

    Attributes
    ----------
    name
        Name on the command line and in the manifest.
    make
        From a table of keys, sorted by ``material_id``, and the options as keywords to tables of
        `mpclean.vocabulary.schema.SPLIT`, by what is added to the name of the split (nothing where there is
        one). Keys are ``material_id``, ``split`` (in the split that the option ``of`` names),
        ``group`` where the strategy has a `level` or is given one as ``group``, and `columns`.
    options
        The options that it takes, with their defaults.
    level
        Level of `mpclean.crystal.similarity.levels.LEVELS` whose key is the group.
    columns
        Columns of a release that are keys too, where it has them.
    keeps_apart
        Levels at which no crystal has its like in another part.
    """

    name: str
    make: Callable[..., dict[str, pa.Table]]
    options: dict[str, Any] = field(default_factory=dict)
    level: str | None = None
    columns: tuple[str, ...] = ()
    keeps_apart: tuple[str, ...] = ()


def by_place(material_ids: pa.ChunkedArray, place: NDArray[np.integer]) -> pa.Table:
    """Make a split from the place in `mpclean.vocabulary.schema.PARTS` of every record.

    Parameters
    ----------
    material_ids
        (N,) ids.
    place
        (N,) 0 for train, 1 for validation, 2 for test; -1 for none, which leaves the record out.

    Returns
    -------
    Table of `mpclean.vocabulary.schema.SPLIT`, in the order of the ids.
    """
    names = pa.array(np.array(PARTS)[place], pa.string())
    return pa.table([material_ids, names], schema=SPLIT).filter(pa.array(place >= 0))
