"""What every test shares: no network, and a cache of Hugging Face that goes with the run."""

from __future__ import annotations

import os
import shutil
import tempfile

# Read by `datasets` and `huggingface_hub` when they are imported, so set before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-of-tests-")


def pytest_unconfigure():
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)
