"""benchmarks/gpu.py, which needs a GPU to mean something, runs whole on a CPU."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_it_measures_every_part(release, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("benchmark_gpu", FOLDER / "gpu.py")
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    monkeypatch.setattr(gpu, "STEPS", 1)
    # Half precision is emulated here, and the dense definition is what nobody should wait for.
    cases = {name: gpu.CASES[name] for name in ("ECN S8, quotient", "CGCNN, PyTorch Geometric", "SchNet")}
    monkeypatch.setattr(gpu, "CASES", cases)
    found = gpu.measure(release, release, "cpu", 60.0, target="formation_energy", batch=4, limit=8)
    assert all(one["seconds"] > 0 and one["crystals"] == 4 for one in found["steps"].values())
    assert len(found["steps"]) == 2 * len(cases)
    alone, distributed = map(float, found["distributed"])
    assert alone == pytest.approx(distributed, rel=1e-5)
    assert found["epoch"]["seconds"] > 0
    assert found["epoch"]["crystals"] == 8
    assert found["perov5"]["validation_mae"] > 0
    sys.modules.pop("train", None)  # the scripts import one another by name
