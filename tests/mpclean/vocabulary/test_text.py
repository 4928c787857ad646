"""Words of strangers on a terminal."""

import json
import re

import pytest
import yaml
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.inspection.report.page import page
from mpclean.release.card import write_card
from mpclean.release.croissant import write_croissant
from mpclean.release.tables import render
from mpclean.vocabulary.text import markdown, of_spreadsheet, printable, spreadsheet

#: A screen that is cleared, a line of its own, and text from right to left.
HOSTILE = "x\x1b[2J\r\nmp-1: kept\x9b31m\u202e"


def test_what_is_seen_stays():
    text = "Na2 Cl2, 5.6 \N{ANGSTROM SIGN}; \N{CJK UNIFIED IDEOGRAPH-76D0}"
    assert printable(text) == text
    assert printable("a\tb\n\x1b[1mc\x7f") == "a�b��[1mc�"


def test_commands_show_ids_and_words_as_they_are(rock_salt, write_lines, tmp_path):
    """None of them begins a line of its own or an escape."""
    words = {"run_type": HOSTILE, "correction_scheme": HOSTILE, "database_version": HOSTILE}
    documents = [rock_salt(n, material_id=f"{n}{HOSTILE}", **words) for n in range(10)]
    documents[1] |= {"formation_energy_per_atom": -9.0}  # suspicious, and so named
    documents[2] |= {"run_type": "GGA", "correction_scheme": None}
    source = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(source=source, out=tmp_path / "a", workers=1)
    fewer = mpclean.build(source=source, out=tmp_path / "b", limit=9, workers=1)
    for arguments in (
        ("explain", release.path, f"1{HOSTILE}"),
        ("explain", release.path, f"99{HOSTILE}"),
        ("audit", release.path, "--workers", "1"),
        ("diff", release.path, fewer.path),
    ):
        done = CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)
        lines = (done.stdout + done.stderr).split("\n")
        assert all(line.isprintable() for line in lines), arguments
        assert not any(line.startswith("mp-1: kept") for line in lines)
        assert any("x�[2J��mp-1: kept" in line for line in lines), arguments


NASTY = (
    "=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "<script>alert(1)</script>", "a|b", "`code`",
    "[link](javascript:alert(1))", "![](http://x/y.png)", "---\nlicense: mit", "a\nb", "\x1b[31mred",
    "\u202eabc", "&lt;", "\\|", "**bold**", "\x07", "a\rb", "\u2028", "\x9b31m", "{{ x }}", "%s", "| a | b |",
    "<img src=x onerror=y>", "</td></table>", "`|`", "\x00", "&#60;", "<!--",
)  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_nasty_strings_in_card_page_and_croissant(small_release, text):
    """Words of a source are shown by all three; none of them is obeyed."""
    manifest = small_release.manifest
    upstream = manifest.upstream.model_copy(update={"title": text, "licence": text, "citation": text})
    manifest = manifest.changed(upstream=upstream, label_notes=[text])
    head, body = write_card(manifest).removeprefix("---\n").split("\n---\n", 1)
    plain, _ = write_card(small_release.manifest).removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(head).keys() == yaml.safe_load(plain).keys()
    assert all(line.isprintable() for line in body.split("\n"))
    html = page(manifest, [])
    for shown in (body, html):
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "<!--" not in shown.replace("<!-- ", "")
    assert "](javascript" not in re.sub(r"\\.", "", body)
    json.loads(write_croissant(manifest))


@pytest.mark.parametrize("text", NASTY)
def test_nasty_strings_in_every_medium(text):
    shown = markdown(text)
    assert shown.isprintable() or not shown
    assert not set(re.sub(r"\\.", "", shown)) & set("<>|`[]*")  # what is left when escapes are gone
    assert not spreadsheet(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    for written in (text, f"'{text}", f"''{text}"):
        assert of_spreadsheet(spreadsheet(written)) == written
    assert printable(text).isprintable()
    table = render((["stage", "left"], [[text, "1"]]), "github")
    assert len(table.splitlines()) == 3
    assert re.sub(r"\\.", "", table.splitlines()[-1]).count("|") == 3  # two cells, whatever is in them
