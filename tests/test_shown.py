"""What README and guides show is what is printed: their commands are run, their output is compared."""

import re
import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).with_name("sessions.py")))
ROOT = TOOL["ROOT"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the pages are run one after the other, as a reader would."""
    return tmp_path_factory.mktemp("shown")


@pytest.mark.slow
@pytest.mark.parametrize("page", TOOL["PAGES"], ids=lambda page: page.name)
def test_a_page_shows_what_is_printed(page, folder):
    steps = list(TOOL["steps"](page))
    assert steps, page
    for step in steps:
        assert not (found := TOOL["run"](step, folder, TOOL["environment"]())), f"$ {step.command}\n{found}"


def test_a_step_is_read_and_compared(tmp_path):
    (tmp_path / "page.md").write_text(
        "```console\n$ echo one 1.25\none ...\n$ echo two\nthree\n```\n\n```python\nx = 1\n```\n"
        "\n```python\nassert x == 2, 'not two'\n```\n"
    )
    good, bad, script = TOOL["steps"](tmp_path / "page.md")
    assert TOOL["run"](good, tmp_path, TOOL["environment"]()) == ""
    assert "- three" in TOOL["run"](bad, tmp_path, TOOL["environment"]())
    assert "not two" in TOOL["run"](script, tmp_path, TOOL["environment"]())


def test_hashes_are_one():
    """The content hash of the demo is the same in every line of the README that shows it."""
    hashes = re.findall(r"content hash ([0-9a-f]{16,64})", (ROOT / "README.md").read_text("utf-8"))
    assert len(hashes) > 1
    assert len(set(hashes)) == 1


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link
