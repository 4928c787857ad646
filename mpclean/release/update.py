"""Add files to a release: it is the old one or the new one, and its description speaks of all it has.

Whatever a command adds after the build (a split, a report) goes through `amended`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mpclean.release.atomic import beside, move_into_place, staging_folder
from mpclean.release.manifest import Manifest
from mpclean.release.reader import Release, open_release
from mpclean.release.seal import describe_files, seal


@dataclass
class Amendment:
    """What is to be changed in a release.

    Attributes
    ----------
    release
        The release as it is.
    folder
        An empty folder. What is written there comes into the release under the same name, in
        place of a file that has it.
    manifest
        The manifest that it gets (`mpclean.release.manifest.Manifest.changed`); hashes of files, the card
        and ``croissant.json`` follow by themselves.
    removed
        Names of files that leave.
    """

    release: Release
    folder: Path
    manifest: Manifest
    removed: set[str] = field(default_factory=set)


@contextmanager
def amended(path: str | Path) -> Iterator[Amendment]:
    """Change a release; it is replaced when the block ends, and stays as it was if that raises.

    The release that takes the place of the old one shares its files by hard links, so that to add
    a file costs the bytes of that file only. A killed command leaves the old release or the new one.

    Parameters
    ----------
    path
        Folder of the release.

    Raises
    ------
    UserError
        If it is no release, its files differ from its manifest, or another command is writing it.
    """
    target = Path(path)
    if not beside(target, "replaced").is_dir():  # what a killed command left is put back by the next one
        open_release(target)  # refuses a wrong path before anything is made beside it
    with staging_folder(target) as staging:
        release = open_release(target)
        release.require_intact()  # what is sealed anew would pass for whole
        added, new = staging / "added", staging / "release"
        added.mkdir()
        amendment = Amendment(release, added, release.manifest)
        yield amendment
        shutil.copytree(target, new, symlinks=True, copy_function=_link)
        # The names come from a manifest, so from anybody: `parse_manifest` holds them inside the release.
        files = {
            name: file for name, file in amendment.manifest.files.items() if name not in amendment.removed
        }
        for name in amendment.removed & release.manifest.files.keys():
            (new / name).unlink()
        for name, entry in describe_files(added).items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (added / name).replace(new / name)
            files[name] = entry
        seal(new, amendment.manifest.changed(files=files))
        move_into_place(new, target, replace=True)


def _link(source: str, target: str) -> None:
    """Give a second name for a file, or a copy of it where the file system knows none."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
