"""What a document looks like: a summary document of the Materials Project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpclean.sources.demo.defects import Document
from mpclean.sources.demo.labels import labels
from mpclean.sources.demo.recipes import Recipe
from mpclean.vocabulary.elements import SYMBOLS


def summary(recipe: Recipe, material_id: str) -> Document:
    """Make a summary document."""
    crystal = replace(
        recipe.crystal,
        lattice=np.round(recipe.crystal.lattice, 8),
        frac_coords=np.round(recipe.crystal.frac_coords % 1.0, 8),
    )
    values, moments = labels(crystal)
    structure = {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "lattice": {"matrix": crystal.lattice.tolist()},
        "sites": [
            {
                "species": [{"element": SYMBOLS[z], "occu": 1}],
                "abc": abc,
                "properties": {"magmom": round(moment, 3)},
            }
            for z, abc, moment in zip(
                crystal.atomic_numbers, crystal.frac_coords.tolist(), moments.tolist(), strict=True
            )
        ],
    }
    stated = {} if recipe.spacegroup is None else {"symmetry": {"number": recipe.spacegroup}}
    return {
        "material_id": material_id,
        "synthetic": True,
        "case": recipe.case,
        "nsites": len(crystal),
        "structure": structure,
        **values,
        **stated,
    }
