"""Releases: layout, writing, reading, verification."""

from mpclean.release.reader import Release, open_release

__all__ = ["Release", "open_release"]
