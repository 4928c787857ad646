"""The prototype of a crystal: what is left of it when elements and lengths are forgotten.

An anonymous formula, the Pearson symbol, the space group and the Wyckoff letters of every
element, as ``AB_cF8_225_a_b`` of rock salt. Wyckoff letters depend on where the origin was put
(and sometimes on which axis was called which): the affine normaliser of the space group
permutes them, and so may elements of equal counts. Of all writings the first is taken, as in
the protostructures of Parackal, Goodall, Faber & Armiento 2024, Phys. Rev. Materials 8, 103801,
whose table of normalisers pymatgen has; the symmetry is moyopy's.
"""

from __future__ import annotations

import warnings

import pyarrow as pa
from tqdm import tqdm

from mpclean.crystal.cells import SPACEGROUP_TOLERANCE, SymmetryError
from mpclean.crystal.crystal import Crystal
from mpclean.pipeline.executor import run
from mpclean.release.reader import CRYSTAL

#: Crystals in one task of a worker.
_BATCH = 1000


def prototype(crystal: Crystal, tolerance: float = SPACEGROUP_TOLERANCE) -> str:
    """Find the prototype of a crystal, the same however the crystal is written.

    Parameters
    ----------
    crystal
        Any cell.
    tolerance
        Distance up to which atoms count as equivalent, A.

    Returns
    -------
    Anonymous formula, Pearson symbol, space group and letters, joined by underscores.

    Raises
    ------
    SymmetryError
        If the symmetry search fails.
    """
    from pymatgen.analysis.prototypes import (
        get_protostructure_label_from_moyopy,
        get_prototype_from_protostructure,
    )

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of pymatgen, about its own helpers
            label = get_protostructure_label_from_moyopy(
                crystal.to_pymatgen(), raise_errors=True, symprec=tolerance
            )
        return str(get_prototype_from_protostructure(str(label)))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise SymmetryError(str(error)) from error


def prototypes(rows: pa.Table, workers: int) -> pa.ChunkedArray:
    """Compute the prototypes of the rows of a release.

    Parameters
    ----------
    rows
        Table with the columns `mpclean.release.reader.CRYSTAL`, N rows.
    workers
        Processes.

    Returns
    -------
    (N,) strings; null where the symmetry search fails.
    """
    batches = rows.select(CRYSTAL).combine_chunks().to_batches(max_chunksize=_BATCH)
    labels = []
    with tqdm(total=rows.num_rows, desc="prototypes", unit=" crystals", disable=None) as bar:
        for batch in run(_label, batches, workers):
            labels.append(batch)
            bar.update(len(batch))
    return pa.chunked_array(labels, pa.string())


def _label(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([_or_none(Crystal.from_row(row)) for row in batch.to_pylist()], pa.string())


def _or_none(crystal: Crystal) -> str | None:
    try:
        return prototype(crystal)
    except SymmetryError:
        return None
