"""The manifest of a release: what it is made of, and the hash of every byte of it.

A manifest is canonical JSON and carries the hash of itself, so that a change of any byte of
the folder, the manifest included, can be found. It holds no build time, host name or path:
equal input and parameters give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mpclean.errors import UserError
from mpclean.release.layout import FORMAT_VERSION, MANIFEST

Manifest = dict[str, Any]


def dump_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest, its own hash included."""
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    digest = hashlib.sha256(_canonical(body)).hexdigest()
    return _canonical({**body, "manifest_sha256": digest})


def _canonical(value: Manifest) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a release.

    Raises
    ------
    UserError
        If the folder is no release, its manifest was changed, or its format is newer than
        this program.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise UserError(f"{folder}: no such release; build one with: mpclean build --version demo")
    if not path.is_file():
        raise UserError(f"{folder}: not a release, it has no {MANIFEST}")
    return parse_manifest(path.read_bytes(), str(path))


def _inside(name: str) -> bool:
    """Whether a name of a file stays in the folder of its release, on any system."""
    return all(part not in ("", ".", "..") for part in name.split("/")) and not set(name) & set("\\:\0*?[")


def parse_manifest(content: bytes, origin: str) -> Manifest:
    """The manifest that the bytes of a file spell.

    Parameters
    ----------
    content
        The bytes.
    origin
        What to call the file in errors.

    Raises
    ------
    UserError
        If it was changed, names a file outside its release, or its format is newer than this program.
    """
    try:
        manifest = json.loads(content)
        intact = dump_manifest(manifest) == content and all(map(_inside, manifest["files"]))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise UserError(f"{origin}: the manifest was changed or damaged; build or fetch the release again")
    if manifest["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{origin}: format {manifest['format_version']} is newer than this program reads "
            f"({FORMAT_VERSION}); install a newer mpclean"
        )
    return manifest
