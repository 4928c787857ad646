"""The last files of a release, which describe all others: the card, `croissant.json` and the manifest."""

from __future__ import annotations

from pathlib import Path

from mpclean.release.card import write_card
from mpclean.release.croissant import write_croissant
from mpclean.release.hashing import file_sha256
from mpclean.release.layout import CARD, CROISSANT, MANIFEST
from mpclean.release.manifest import File, Manifest, dump_manifest, parse_manifest


def describe_files(folder: Path) -> dict[str, File]:
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
    files = {name: file for name, file in manifest.files.items() if name not in (CARD, CROISSANT)}
    # Each speaks of those before it: Croissant of the hash of the card, the manifest of both.
    for name, content in ((CARD, write_card), (CROISSANT, write_croissant)):
        _replace(folder / name, content(manifest.changed(files=files)).encode())
        files[name] = _describe(folder / name)
    sealed = dump_manifest(manifest.changed(files=files))
    parse_manifest(sealed, str(folder / MANIFEST))  # what nobody could open again is not written
    _replace(folder / MANIFEST, sealed)


def _replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # the file may have another name, in the release that this one replaces
    path.write_bytes(content)


def _describe(path: Path) -> File:
    return File(bytes=path.stat().st_size, sha256=file_sha256(path))
