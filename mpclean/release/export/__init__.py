"""A release in the formats of other programs.

A format is a file of writers here, and an entry in `FORMATS`. A writer takes crystals one by one, so
that no release is held in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from mpclean.errors import UserError, closest
from mpclean.release.atomic import move_into_place, staging_folder
from mpclean.release.export.ase_files import write_database, write_extxyz
from mpclean.release.export.base import Entries
from mpclean.release.export.cgcnn import write_cgcnn
from mpclean.release.export.json_files import write_jsonl, write_matbench
from mpclean.release.export.structure_files import write_cif, write_poscar
from mpclean.release.reader import Release
from mpclean.vocabulary.registry import Registry
from mpclean.vocabulary.schema import TARGET_NAMES


@dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes
    ----------
    write
        Called with entries and the path to write; with ``target=`` where one is needed.
    ending
        How the name of a file must end to be read again; empty for a folder.
    needs_target
        Whether it holds one label of every crystal, and not all of them.
    needs_ase
        Whether ASE writes it.
    """

    write: Callable[..., None]
    ending: str = ""
    needs_target: bool = False
    needs_ase: bool = False


#: Our own formats by name.
FORMATS: dict[str, Format] = {
    "extxyz": Format(write_extxyz, ".extxyz", needs_ase=True),
    "cif": Format(write_cif),
    "poscar": Format(write_poscar),
    "ase-db": Format(write_database, ".db", needs_ase=True),
    "cgcnn": Format(write_cgcnn, needs_target=True),
    "matbench": Format(write_matbench, ".json.gz", needs_target=True),
    "jsonl": Format(write_jsonl, ".jsonl"),
}

#: All formats by name: ours, then those of installed packages.
REGISTRY: Registry[Format] = Registry(
    "format",
    "mpclean.formats",
    FORMATS,
    lambda name, found: isinstance(found, Format),
    "mpclean.release.export.Format",
)


@dataclass
class Exported:
    """What an export wrote.

    Attributes
    ----------
    n_crystals
        Crystals that were written.
    n_left_out
        Crystals without a value of the target, which the format cannot hold.
    """

    n_crystals: int = 0
    n_left_out: int = 0


def export(
    release: Release,
    format: str,  # noqa: A002 the name of the option
    out: str | Path,
    part: str | None = None,
    config: str | None = None,
    target: str | None = None,
    split: str | None = None,
) -> Exported:
    """Write crystals and labels of a release in another format; the command ``mpclean export``.

    Parameters
    ----------
    release
        The release.
    format
        A name of `REGISTRY`.
    out
        File or folder to write; it appears when it is whole.
    part
        ``train``, ``validation`` or ``test``; all of them by default.
    config
        Name of a configuration of the release; ``default`` by default.
    target
        Column of the labels, for the formats that hold one; or its name in `ecn fit --target`.
    split
        Name of the split that `part` belongs to; the one that the release was built with by default.

    Raises
    ------
    UserError
        For everything the user can put right, and if the files of the release are not those of its
        manifest; nothing is written then.
    """
    release.require_intact()
    out = Path(out)
    target = TARGET_NAMES.get(target, target) if target is not None else None
    _check(release, format, out, config, target)
    chosen = REGISTRY.find(format)
    write = partial(chosen.write, target=target) if chosen.needs_target else chosen.write
    done = Exported()
    with staging_folder(out) as folder:
        if out.exists():
            raise UserError(f"{out} exists already; choose another --out")
        # How many rows another split has in a configuration is known when they are read.
        rows = _rows(release, part, config) if split is None else None
        with tqdm(total=rows, desc="exporting", unit=" crystals", disable=None) as bar:
            entries = release.crystals(part, config, split)
            if release.manifest.upstream.synthetic:
                entries = ((crystal, labels | {"synthetic": True}) for crystal, labels in entries)
            write(_counted(entries, target, done, bar), folder / "export")
        if not done.n_crystals:
            raise UserError(f"{release.path}: no crystal to export; choose another --part or --config")
        move_into_place(folder / "export", out)
    return done


def _rows(release: Release, part: str | None, config: str | None) -> int:
    """Rows that will be read, for progress; an unknown part has none, and is refused on reading."""
    counts = release.manifest.counts[config or "default"]
    return sum(entry.num_examples for name, entry in counts.items() if part in (None, name))


def _check(release: Release, name: str, out: Path, config: str | None, target: str | None) -> None:
    chosen = REGISTRY.find(name)
    columns = release.configuration(config).columns or release.manifest.columns
    if chosen.needs_ase and find_spec("ase") is None:
        raise UserError(f"--format {name} needs ASE: pip install 'mpclean[ase]'")
    if not out.name.endswith(chosen.ending):
        raise UserError(f"{out}: --format {name} writes one file; give --out NAME{chosen.ending}")
    if not chosen.needs_target and target is not None:
        raise UserError(f"--format {name} holds every label; leave --target {target} out")
    labels = [column for column in columns if column in {label.name for label in release.labels}]
    if chosen.needs_target:
        if target is None:
            raise UserError(f"--format {name} needs --target, one of {', '.join(labels)}")
        if target not in labels:
            raise UserError(f"{release.path}: {closest('target', target, labels)}")


def _counted(entries: Entries, target: str | None, done: Exported, bar: tqdm) -> Entries:
    """Read the entries that have the target, counted on their way."""
    for crystal, labels in entries:
        if target is None or target in labels:
            done.n_crystals += 1
            yield crystal, labels
        else:
            done.n_left_out += 1
        bar.update()
