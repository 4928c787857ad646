"""One source makes one release, byte for byte, whatever code the libraries choose for the processor."""

import hashlib
import os
import subprocess
import sys

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

#: As in tests/mpclean/crystal/test_linear.py; for the oldest, numba compiles bonds anew.
PROCESSORS = {
    "Nehalem": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        "NUMBA_CPU_NAME": "generic",
    },
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
}

BUILD = """
import sys, mpclean
cifs, out = sys.argv[1:]
mpclean.build(version="demo", out=out + "/demo", limit=60, workers=1)
mpclean.build(source=cifs, out=out + "/cifs", workers=1)
"""

#: Space group, cell (A, degrees) and sites, of no round numbers; each file names the symmetry.
CRYSTALS = (
    ("P-1", (5.137, 6.211, 7.313, 81.3, 97.2, 103.7), {"Na": (0.1137, 0.2713, 0.3391)}),
    (
        "P2_1/c",
        (5.137, 6.211, 7.313, 90, 103.71, 90),
        {"Mg": (0.1137, 0.2713, 0.3391), "O": (0.41, 0.1, 0.13)},
    ),
    ("C2/m", (9.137, 3.811, 7.313, 90, 111.13, 90), {"Ti": (0.1137, 0, 0.3391), "S": (0.3713, 0, 0.0917)}),
    ("Pnma", (5.381, 7.643, 5.443, 90, 90, 90), {"Ca": (0.0361, 0.25, 0.9931), "Ti": (0, 0, 0.5)}),
    ("Cmcm", (3.817, 9.131, 7.313, 90, 90, 90), {"Zr": (0, 0.1137, 0.25), "Si": (0, 0.4391, 0.25)}),
    ("I4/mmm", (3.917, 3.917, 13.031, 90, 90, 90), {"Ba": (0, 0, 0.3571), "Pd": (0, 0, 0)}),
    ("P4_2/mnm", (4.593, 4.593, 2.959, 90, 90, 90), {"Sn": (0, 0, 0), "O": (0.3057, 0.3057, 0)}),
    ("R-3m", (4.237, 4.237, 21.113, 90, 90, 120), {"Bi": (0, 0, 0.4017), "Te": (0, 0, 0.2093)}),
    (
        "P6_3/mmc",
        (3.193, 3.193, 8.137, 90, 90, 120),
        {"W": (1 / 3, 2 / 3, 0.25), "S": (1 / 3, 2 / 3, 0.6213)},
    ),
    ("P6_3mc", (3.8227, 3.8227, 6.2607, 90, 90, 120), {"Zn": (1 / 3, 2 / 3, 0), "S": (1 / 3, 2 / 3, 0.3748)}),
    ("Pa-3", (5.417,) * 3 + (90,) * 3, {"Fe": (0, 0, 0), "S": (0.3847, 0.3847, 0.3847)}),
    ("Fm-3m", (5.6393,) * 3 + (90,) * 3, {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}),
)


@pytest.fixture(scope="module")
def cifs(tmp_path_factory):
    """A folder of CIF files with symmetry."""
    folder = tmp_path_factory.mktemp("cifs")
    for group, cell, sites in CRYSTALS:
        crystal = Structure.from_spacegroup(
            group, Lattice.from_parameters(*cell), list(sites), list(sites.values())
        )
        name = f"{group.replace('/', '-')}.cif"
        CifWriter(crystal, symprec=0.01, significant_figures=5).write_file(folder / name)
    return folder


def build(cifs, folder, settings):
    """Build under settings; return every byte of both releases, by file."""
    subprocess.run(
        [sys.executable, "-c", BUILD, str(cifs), str(folder)], env=os.environ | settings, check=True
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_processor(cifs, tmp_path):
    found = {}
    for name, settings in PROCESSORS.items():
        cache = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")} if "NUMBA_CPU_NAME" in settings else {}
        found[name] = build(cifs, tmp_path / name, settings | cache)
    assert {"demo/manifest.json", "cifs/manifest.json"} <= set(found["Nehalem"])
    for name, files in found.items():
        assert files == found["Nehalem"], name
