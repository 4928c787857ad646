"""One source makes one release, byte for byte, whatever code the libraries choose for the processor."""

import hashlib
import os
import subprocess
import sys

import pytest

#: As in tests/mpclean/crystal/test_linear.py; numba's code for another processor is compiled anew.
PROCESSORS = {
    "this": {},
    "Nehalem": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
}

BUILD = (
    "import sys, mpclean; mpclean.build(version='demo', out=sys.argv[1], limit=int(sys.argv[2]), workers=1)"
)


def digest(folder):
    """Every byte of a release, by file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_processor(tmp_path):
    found = {}
    for name, settings in PROCESSORS.items():
        out = tmp_path / name / "demo"
        subprocess.run([sys.executable, "-c", BUILD, str(out), "150"], env=os.environ | settings, check=True)
        found[name] = digest(out)
    for name, files in found.items():
        assert files == found["this"], name


@pytest.mark.slow
def test_nor_on_the_processor_that_bonds_are_compiled_for(tmp_path):
    found = {}
    for name, settings in {
        "this": {},
        "generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path / "numba")},
    }.items():
        out = tmp_path / name / "demo"
        subprocess.run([sys.executable, "-c", BUILD, str(out), "60"], env=os.environ | settings, check=True)
        found[name] = digest(out)
    assert found["generic"] == found["this"]
