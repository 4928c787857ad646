"""The real data folder; everything here is skipped where it is absent."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("MPCLEAN_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data folder at {folder}; name it in MPCLEAN_TEST_DATA")
    return folder


def pytest_collection_modifyitems(items):
    """Mark all tests of this folder as slow: they read thousands of real records."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
