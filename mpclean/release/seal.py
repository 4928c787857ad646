"""The last files of a release, which describe all others: the card, `croissant.json` and the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpclean.release.card import write_card
from mpclean.release.croissant import write_croissant
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import CARD, CROISSANT, MANIFEST
from mpclean.release.manifest import Manifest, dump_manifest


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size in bytes and hash of every file under a folder, as the manifest lists them."""
    return {
        path.relative_to(folder).as_posix(): _describe(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def seal(folder: Path, manifest: Manifest) -> None:
    """Write card, ``croissant.json`` and manifest, in the place of those that are there.

    Parameters
    ----------
    folder
        The release, all its other files written; no other name of its files is written through.
    manifest
        Its manifest, whose ``files`` are all others; those of the three are set.
    """
    files = manifest["files"]
    for name in (CARD, CROISSANT):
        files.pop(name, None)
    # Each speaks of those before it: Croissant of the hash of the card, the manifest of both.
    for name, content in ((CARD, write_card), (CROISSANT, write_croissant)):
        _replace(folder / name, content(manifest).encode())
        files[name] = _describe(folder / name)
    _replace(folder / MANIFEST, dump_manifest(manifest))


def _replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # the file may have another name, in the release that this one replaces
    path.write_bytes(content)


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
