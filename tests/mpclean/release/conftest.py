from __future__ import annotations

import shutil

import pytest

import mpclean


@pytest.fixture
def copied(small_release, tmp_path):
    """A release that a test may spoil."""
    shutil.copytree(small_release.path, tmp_path / "salts")
    return mpclean.open_release(tmp_path / "salts")
