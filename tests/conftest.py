"""What every test shares: no network, a cache of Hugging Face that goes with the run, and predictors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Read by `datasets` and `huggingface_hub` when they are imported, so set before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-of-tests-")


def pytest_unconfigure():
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def predictor():
    """From a model to a function from crystals to its outputs, in double precision.

    `find_cell` says on which cell a crystal is predicted. Cells and bonds are found once for
    all models.
    """
    import torch

    from ecn.data.tensors import cell_tensors
    from ecn.inference.forward import max_edges, outputs
    from mpclean.crystal.bonding import bond_graph
    from mpclean.crystal.cells import canonical_cell

    known = {}

    def cell_and_bonds(find_cell, crystal):
        key = find_cell, crystal.lattice.tobytes(), crystal.frac_coords.tobytes()
        if key not in known:
            cell = find_cell(crystal)
            known[key] = cell, bond_graph(cell.crystal)
        return known[key]

    def predictor(model, find_cell=canonical_cell):
        model = model.double().eval()

        def on_doubles(batch):
            fields = batch._asdict()
            floats = {
                k: v.double() for k, v in fields.items() if torch.is_tensor(v) and v.is_floating_point()
            }
            return model(batch._replace(**floats))

        def predict(crystals):
            tensors = cell_tensors([cell_and_bonds(find_cell, crystal) for crystal in crystals])
            return outputs(on_doubles, tensors, max_edges(model, torch.device("cpu")))

        return predict

    return predictor


@pytest.fixture
def no_file_larger_than():
    """Let the system refuse to write more bytes to a file: what a full disk does, without a disk."""
    from resource import RLIMIT_FSIZE, getrlimit, setrlimit

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        limits = getrlimit(RLIMIT_FSIZE)
        setrlimit(RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            setrlimit(RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture
def reseal():
    """Let a release whose files a test has changed be what its manifest says again."""
    from mpclean.release.manifest import seal_values
    from mpclean.release.seal import describe_files

    def reseal(folder: Path, **changes: object) -> Path:
        manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
        (folder / "manifest.json").unlink()
        manifest["files"] = {name: file.model_dump() for name, file in describe_files(folder).items()}
        (folder / "manifest.json").write_bytes(seal_values(manifest))
        return folder

    return reseal
