"""Run the tutorial and keep what its cells print: `python tests/tutorial.py` writes the outputs into it.

`test_tutorial.py` runs it the same way and compares. Nothing of the machine is kept: no times, no paths.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"

#: Times, and the machine, in what a training prints.
VARIES = re.compile(
    r"^(?:device: |about ).*\n|, [\d.]+ (?:s|min|h)(?=(?: \(best\))?(?:;|$))|; about .* left$", re.MULTILINE
)


def executed(folder: Path, ipython: Path) -> nbformat.NotebookNode:
    """Run the notebook in an empty folder, on one thread, and return it with its outputs."""
    notebook = nbformat.read(NOTEBOOK, 4)
    settings = {
        "IPYTHONDIR": str(ipython),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        NotebookClient(
            notebook,
            timeout=500,
            kernel_name="python3",
            coalesce_streams=True,  # else what is printed may be cut anywhere
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [tidy(output) for output in cell.outputs if output.output_type != "display_data"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def tidy(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take out of an output what another run would not print; bars of progress are none at all."""
    if output.output_type == "stream":
        output.text = VARIES.sub("", output.text)
    return output


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "work").mkdir()
        nbformat.write(executed(folder / "work", folder / "ipython"), NOTEBOOK)


if __name__ == "__main__":
    main()
