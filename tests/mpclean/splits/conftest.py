from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copied_salts(small_release, tmp_path):
    """The folder of a release that a test may split."""
    return Path(shutil.copytree(small_release.path, tmp_path / "salts"))
