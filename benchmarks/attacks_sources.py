"""Files that unpack, or cost, far more than they are: each is refused or read within 10 s and 1 GiB.

Run from the root of a checkout, a row of the table for each file::

    python benchmarks/attacks_sources.py FOLDER

FOLDER is for the files (a few MB; one of 1 GiB is sparse) and may be deleted afterwards.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: What reading one of the files may cost.
SECONDS, BYTES = 10.0, 1 << 30

_PIECE = bytes(1 << 24)
_PIECES = 128  # 2 GiB

# What a child does with a file: what a build does with it before a crystal is looked at.
_READ = """
import resource, sys, time
from pathlib import Path
from mpclean.errors import UserError
from mpclean.sources import open_source, recognise
from mpclean.sources.documents import read_documents
from mpclean.sources.label_tables import open_labels
path = Path(sys.argv[1])
began = time.process_time()
try:
    if path.name.startswith("labels"):
        print("read", open_labels(path).values.num_rows, "rows")
    else:
        rows = sum(read_documents(batch).num_rows for batch in open_source(recognise(path), path).batches())
        print("read", rows, "documents")
except UserError as error:
    print("refused:", str(error).replace(str(path.parent), "")[1:])
# Other work on the machine takes none of it; no worker process is started here.
print(time.process_time() - began)
# Linux lets ru_maxrss of a process begin with that of the one that started it, but not VmHWM.
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def zeros(pack: Callable[[Path], object]) -> Callable[[Path], None]:
    """Make a packed file of 2 GiB of zeros."""

    def make(path: Path) -> None:
        with pack(path) as file:  # type: ignore[attr-defined]
            for _ in range(_PIECES):
                file.write(_PIECE)

    return make


def _gzip(path: Path) -> object:
    return gzip.open(path, "wb", compresslevel=1)


def _xz(path: Path) -> object:
    return lzma.open(path, "wb", preset=0)


def _zstd(path: Path) -> object:
    return pa.CompressedOutputStream(str(path), "zstd")


def text(content: str) -> Callable[[Path], None]:
    """Make a file of a text."""
    return lambda path: Path.write_text(path, content) and None


def sparse(path: Path) -> None:
    """Make a file of one line of 1 GiB that takes no place on disk."""
    with path.open("wb") as file:
        file.truncate(1 << 30)


def parquet(table: Callable[[], pa.Table]) -> Callable[[Path], None]:
    """Make a table that is packed to next to nothing."""
    return lambda path: pq.write_table(table(), path, compression="zstd")


def _long_list() -> pa.Table:
    items = pa.array(memoryview(bytes(10**8)).cast("b"), pa.int8())
    return pa.table({"a": pa.ListArray.from_arrays(pa.array([0, 10**8], pa.int32()), items)})


#: The files by name.
ATTACKS: dict[str, Callable[[Path], None]] = {
    "zeros.jsonl.gz": zeros(_gzip),
    "zeros.json.gz": zeros(_gzip),
    "zeros.yaml.gz": zeros(_gzip),
    "zeros.jsonl.xz": zeros(_xz),
    "zeros.jsonl.zst": zeros(_zstd),
    "labels.csv.gz": zeros(_gzip),
    "line.jsonl": sparse,
    "aliases.yaml": text(
        "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30))])
    ),
    "values.yaml": text("- 1\n" * 2_000_000),
    "list.parquet": parquet(_long_list),
    "text.parquet": parquet(lambda: pa.table({"a": ["x" * (400 << 20)]})),
    "null.json": text("[" + "null," * 100_000 + "{}]"),
    "deep.json": text("[" * 50_000_000),
    "objects.jsonl": text('{"a": [' + "{}," * 5_000_000 + "{}]}"),
    "digits.jsonl": text('{"material_id": "a", "efermi": ' + "1" * 10_000_000 + "}"),
}


@dataclass(frozen=True)
class Outcome:
    """What came of reading a file."""

    said: str
    """What was read, or why it was refused."""
    seconds: float
    """Time of a core, without imports."""
    memory: int
    """Peak of the process, bytes."""

    @property
    def within(self) -> bool:
        """Whether it was read or refused, within the limits."""
        return self.seconds <= SECONDS and self.memory <= BYTES and not self.said.startswith("ends")


def attack(path: Path) -> Outcome:
    """Read a file in a process of its own."""
    child = [sys.executable, "-c", _READ, str(path)]
    before = time.perf_counter()
    done = subprocess.run(child, capture_output=True, text=True, timeout=600, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 3:
        return Outcome(f"ends in {done.stderr.strip().splitlines()[-1:]}", time.perf_counter() - before, 0)
    return Outcome(lines[0], float(lines[1]), int(lines[2]) << 10)  # Linux counts in KiB


def attacks(folder: Path) -> Iterator[tuple[Path, Outcome]]:
    """Make and read all files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in ATTACKS.items():
        path = folder / name
        if not path.exists():
            # Some take as much memory to make as they are to take when read: it is given back before.
            maker = get_context("fork").Process(target=make, args=(path,))
            maker.start()
            maker.join()
            if maker.exitcode:
                raise RuntimeError(f"{path}: could not be made, status {maker.exitcode}")
        yield path, attack(path)


def main(folder: Path) -> int:
    """Make and read all files; 0 if all are within the limits."""
    print("| file | bytes | seconds | peak memory, MiB | what came of it |\n|---|---|---|---|---|")
    within = True
    for path, found in attacks(folder):
        within &= found.within
        print(
            f"| {path.name} | {path.stat().st_size:,} | {found.seconds:.2f} | {found.memory >> 20:,} | "
            f"{found.said} |",
            flush=True,
        )
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
