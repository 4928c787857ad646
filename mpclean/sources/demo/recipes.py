"""Which crystals there are: every case as often as `COUNTS` says, from one stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mpclean.crystal.crystal import Crystal
from mpclean.sources.demo.defects import DEFECTS, Document, as_it_is, stating
from mpclean.sources.demo.distortions import OTHER_CELLS, breathed, rattled, recell, strained
from mpclean.sources.demo.geometry import contacts, decorate
from mpclean.sources.demo.prototypes import PROTOTYPES, Prototype

#: Documents per case that prototypes make by themselves.
DECORATED = {"crystal": 2400, "layers": 150, "chains": 27, "molecules": 48, "large": 40, "disconnected": 48}

#: Documents per case that are made from those.
DERIVED = {"large supercell": 20, "duplicate": 120, "duplicate without energy": 10, "other cell": 60}

#: Documents by case.
COUNTS: dict[str, int] = DECORATED | DERIVED | {defect.case: defect.count for defect in DEFECTS}


@dataclass(frozen=True)
class Recipe:
    """A crystal on its way to a document."""

    case: str
    crystal: Crystal
    spacegroup: int | None = None  # where the document is to state one
    spoil: Callable[[Document], Document] = as_it_is


def recipes(rng: np.random.Generator) -> Iterator[Recipe]:
    """Every crystal with its case, `COUNTS` of each."""
    n_crystals = DECORATED["crystal"]
    good = list(_decorated(rng, "crystal", n_crystals + sum(defect.count for defect in DEFECTS)))
    spare = iter(good[n_crystals:])
    good = good[:n_crystals]
    yield from good
    for case, count in DECORATED.items():
        if case != "crystal":
            yield from _decorated(rng, case, count)

    salts = _decorated(rng, "crystal", DERIVED["large supercell"], prototype="rock salt, B1")
    yield from (
        Recipe("large supercell", rattled(recell(salt.crystal, 3 * np.eye(3, dtype=np.int64)), rng))
        for salt in salts
    )

    chosen = iter(rng.permutation(n_crystals))
    for case in ("duplicate", "duplicate without energy"):
        spoil = as_it_is if case == "duplicate" else stating(formation_energy_per_atom=None)
        for _ in range(DERIVED[case]):
            original = good[next(chosen)]
            yield replace(original, case=case, crystal=breathed(original.crystal, rng, 0.01), spoil=spoil)
    for i in range(DERIVED["other cell"]):
        original = good[next(chosen)]
        again = recell(original.crystal, OTHER_CELLS[i % len(OTHER_CELLS)], origin=rng.random(3))
        yield replace(original, case="other cell", crystal=again)

    for defect in DEFECTS:
        for _ in range(defect.count):
            yield replace(next(spare), case=defect.case, spoil=defect.spoil)


def _decorated(
    rng: np.random.Generator, case: str, count: int, prototype: str | None = None
) -> Iterator[Recipe]:
    """Different decorations of the prototypes of a case, the same number of each while they last."""
    queues = [
        decorations(candidate, rng)
        for candidate in PROTOTYPES
        if candidate.case == case and prototype in (None, candidate.name)
    ]
    made = 0
    while made < count:
        queues = [queue for queue in queues if queue]
        if not queues:
            raise AssertionError(
                f"the prototypes of {case!r} have only {made} decorations, {count} are asked for"
            )
        for queue in queues[: count - made]:
            structure_type, elements = queue.pop()
            crystal = breathed(decorate(structure_type, elements), rng, 0.03)
            if case == "crystal" and made % 3 == 2:
                yield Recipe(case, rattled(strained(crystal, rng), rng))
            else:
                yield Recipe(case, crystal, structure_type.spacegroup if made % 4 == 0 else None)
            made += 1


#: How far the loosest site may be from touching, A. Radii are decimals, and some decorations lie at 0.15
#: exactly: without the margin a last bit would decide about them, and so about all that is drawn later.
_LOOSEST = 0.15 + 1e-9


def decorations(prototype: Prototype, rng: np.random.Generator) -> list[tuple[Prototype, tuple[str, ...]]]:
    """Every choice of different elements for the sites of a prototype, shuffled.

    Those that would leave an atom of a three-dimensional crystal rattling in a cage are left out.
    """
    choices = [
        elements
        for elements in product(*(site.elements.split() for site in prototype.sites))
        if len(set(elements)) == len(elements)
        and (prototype.case != "crystal" or contacts(prototype, elements)[1] < _LOOSEST)
    ]
    return [(prototype, choices[i]) for i in rng.permutation(len(choices))]
