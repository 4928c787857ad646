"""A folder in the format of CGCNN: ``id_prop.csv`` of ids and values, and a CIF file of every id.

The features of the elements, ``atom_init.json``, come with CGCNN and are put beside them by its user.
Xie & Grossman 2018, doi 10.1103/PhysRevLett.120.145301.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mpclean.release.export.base import Entries
from mpclean.release.export.structure_files import cif, file_of
from mpclean.sources.cgcnn import TABLE


def write_cgcnn(entries: Entries, path: Path, target: str) -> None:
    """Write the folder, with the values of a target in its unit."""
    path.mkdir()
    with (path / TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for crystal, labels in entries:
            material_id = labels["material_id"]
            file_of(path, material_id, ".cif").write_text(cif(crystal), encoding="utf-8")
            table.writerow([material_id, labels[target]])
