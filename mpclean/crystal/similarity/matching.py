"""Crystals that are equal in structure, whatever symmetry was found in them.

pymatgen's `StructureMatcher` decides, as it comes: sites to 0.3 of the cube root of the volume
per atom, cell edges to 20 %, angles to 5 degrees, volumes scaled to one another. Its `fit` is not
symmetric for a few pairs; here the record that stays is always the first of the two.

Looked at are only crystals that tie in what is cheap to know. Of a pair the matcher tries every
way in which one lattice maps onto the other, with every atom of the rarest element as the origin,
and compares all atoms with all each time. For ordinary crystals that is nothing; for large cells,
and for long thin ones whose lattices map in thousands of ways (polytypes), it can be hours. Those
ways are counted first: with none the matcher has nothing to compare and the crystals are
distinct; with too many the pair is left undecided. The bounds are counts and no times, so that a
verdict is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from mpclean.crystal.crystal import Crystal
from mpclean.pipeline.executor import run
from mpclean.release.reader import CRYSTAL

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

#: Most atoms in a cell that is compared. pymatgen's search for a smaller cell takes 10 s for the
#: worst of this size, and grows with the fourth power.
MAX_ATOMS = 200

#: Most comparisons of two atoms for one pair: ways x origins x atoms x atoms. 1e7 take a second.
MAX_COMPARISONS = 200_000_000

#: The same for all pairs of a group but those with its very first member, of which there are few.
MAX_COMPARISONS_OF_A_GROUP = 50 * MAX_COMPARISONS

#: Most lattice points within reach of the longest edge of a cell; a million take seconds.
MAX_LATTICE_POINTS = 1_000_000


def reduced(crystal: Crystal) -> Structure | None:
    """Return a crystal as the matcher compares it: in the Niggli cell of what it takes for primitive.

    Parameters
    ----------
    crystal
        Any cell.

    Returns
    -------
    None for one beyond `MAX_ATOMS`, or that pymatgen cannot reduce.
    """
    if len(crystal) > MAX_ATOMS:
        return None
    try:
        return crystal.to_pymatgen().get_reduced_structure("niggli").get_primitive_structure()
    except (ValueError, ArithmeticError):  # as it does where it finds no Niggli cell
        return None


def equal(first: Structure | None, second: Structure | None, most: int) -> tuple[bool | None, int]:
    """Ask the matcher for its verdict on two crystals of the same composition.

    Parameters
    ----------
    first, second
        As `reduced` gives them.
    most
        Most comparisons of two atoms that it may cost.

    Returns
    -------
    verdict
        Whether they are equal; None where that is beyond the bounds.
    comparisons
        What it cost at most.
    """
    if first is None or second is None:
        return None, 0
    if len(first) != len(second):
        return False, 0
    counts = np.unique([site.specie.Z for site in first], return_counts=True)[1]
    of_one_way = int(counts.min()) * len(first) ** 2
    ways = _ways(first, second, most // of_one_way + 1)
    if ways is None or ways * of_one_way > most:
        return None, 0
    if not ways:
        return False, 0
    return bool(_matcher().fit(first, second, skip_structure_reduction=True)), ways * of_one_way


def _ways(first: Structure, second: Structure, limit: int) -> int | None:
    """In how many ways the lattice of the first maps onto that of the second, counted up to a limit.

    Those that the matcher tries: with its tolerances, and scaled to one volume by its own formula.
    None beyond `MAX_LATTICE_POINTS`.
    """
    from pymatgen.core import Lattice

    ratio = (second.volume / first.volume) ** (1 / 6)
    lattice, target = Lattice(first.lattice.matrix * ratio), Lattice(second.lattice.matrix / ratio)
    matcher = _matcher()
    reach = max(target.lengths) * (1.0 + matcher.ltol)
    if 4.0 / 3.0 * np.pi * reach**3 / lattice.volume > MAX_LATTICE_POINTS:
        return None
    mappings = lattice.find_all_mappings(target, matcher.ltol, matcher.angle_tol, skip_rotation_matrix=True)
    one_to_one = (1 for _, _, change in mappings if round(abs(np.linalg.det(change))) == 1)
    return sum(islice(one_to_one, limit))


@cache
def _matcher() -> StructureMatcher:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher()


def first_equals(crystals: Sequence[Crystal]) -> tuple[list[int], list[bool | None]]:
    """Sort crystals of the same composition into classes of equal ones.

    The relation is not transitive: a crystal joins the first class whose first member it equals.
    One that equals none, or of which that cannot be said, begins a class.

    Returns
    -------
    For each crystal the place of the first member of its class, its own where it is that itself;
    and what `equal` says of the very first crystal and it, None for that one.
    """
    structures = [reduced(crystal) for crystal in crystals]
    left = MAX_COMPARISONS_OF_A_GROUP
    found: list[int] = []
    of_the_first: list[bool | None] = []
    for k, structure in enumerate(structures):
        said: dict[int, bool | None] = {}
        for j in dict.fromkeys(found):
            most = min(MAX_COMPARISONS, left) if j else MAX_COMPARISONS
            said[j], comparisons = equal(structures[j], structure, most)
            left -= comparisons if j else 0
            if said[j]:
                break
        found.append(next((j for j, verdict in said.items() if verdict), k))
        of_the_first.append(said.get(0))
    return found, of_the_first


def structure_classes(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    """Find the class of every row of a release, of crystals with equal structures.

    Compared are crystals with equal reduced formula and number of atoms, in the order of the
    rows, as `first_equals` does; those of which nothing can be said count as unequal.

    Parameters
    ----------
    rows
        Table with ``material_id``, ``reduced_formula``, ``nsites`` and the columns
        `mpclean.release.reader.CRYSTAL`, N rows.
    workers
        Processes.

    Returns
    -------
    (N,) id of the first member of the class; null for a crystal that equals no other.
    """
    numbered = rows.select(["reduced_formula", "nsites"]).append_column("row", pa.array(range(rows.num_rows)))
    groups = numbered.group_by(["reduced_formula", "nsites"], use_threads=False).aggregate([("row", "list")])
    tied = [group for group in groups["row_list"].to_pylist() if len(group) > 1]
    first = np.arange(rows.num_rows)
    tasks = (rows.select(CRYSTAL).take(group) for group in tied)
    with tqdm(total=len(tied), desc="matching", unit=" formulas", disable=None) as bar:
        for group, found in zip(tied, run(_places, tasks, workers), strict=True):
            first[group] = np.array(group)[found]
            bar.update()
    alone = np.bincount(first, minlength=rows.num_rows)[first] == 1
    classes = rows["material_id"].take(pa.array(first))
    return pc.if_else(pa.array(alone), pa.scalar(None, pa.string()), classes)


def _places(rows: pa.Table) -> list[int]:
    return first_equals([Crystal.from_row(row) for row in rows.to_pylist()])[0]
