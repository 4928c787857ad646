"""Crystals that are equal in structure, whatever symmetry was found in them.

pymatgen's `StructureMatcher` decides, with its own tolerances and with volumes scaled to one
another, and only between crystals that tie in what is cheap to know: formula and number of
atoms of the primitive cell.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from mpclean.crystal import Crystal
from mpclean.engine import run
from mpclean.release.reader import CRYSTAL


def structure_classes(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    """The class of every row of a release, of crystals with equal structures.

    The relation is not transitive: a crystal joins the first class whose first member it
    equals, in the order of the rows.

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
        for group, found in zip(tied, run(_first_equals, tasks, workers), strict=True):
            first[group] = np.array(group)[found]
            bar.update()
    alone = np.bincount(first, minlength=rows.num_rows)[first] == 1
    classes = rows["material_id"].take(pa.array(first))
    return pc.if_else(pa.array(alone), pa.scalar(None, pa.string()), classes)


def _first_equals(rows: pa.Table) -> list[int]:
    """For each crystal the place of the first one that it equals, its own where there is none."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(primitive_cell=False)  # the cells of a release are primitive
    structures = [Crystal.from_row(row).to_pymatgen() for row in rows.to_pylist()]
    found: list[int] = []
    for k, structure in enumerate(structures):
        firsts = (j for j in range(k) if found[j] == j)
        found.append(next((j for j in firsts if matcher.fit(structure, structures[j])), k))
    return found
