"""The page of a release, its figures, and the command that makes them."""

import base64
import re
import shutil
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.inspection.report import SECTIONS, provenance, report
from mpclean.inspection.report.base import Context, fold_splits
from mpclean.inspection.report.page import marked, subscripted
from mpclean.release.tables import funnel_rows, merge_note, merge_rows, replay_rows

PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text.append(text)

    def attributes(self, tag, name):
        return [attributes.get(name) for found, attributes in self.tags if found == tag]


@pytest.fixture(scope="module")
def page(reported):
    return Page(reported.path / "report" / "index.html")


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_report_is_part_of_the_release(reported, unreported):
    assert reported.verify() == []
    assert reported.content_hash == unreported.content_hash
    listed = {name for name in reported.manifest.files if name.startswith("report/")}
    assert "report/index.html" in listed
    figures = [name for name in listed if name != "report/index.html"]
    assert figures
    assert all((reported.path / name).read_bytes().startswith(PNG) for name in figures)


def test_the_card_shows_it(reported, unreported):
    card = (reported.path / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", card)
    assert shown == ["report/figures/funnel.png", "report/figures/elements.png"]
    assert set(shown) < set(reported.manifest.files)
    assert "report/index.html" not in (unreported.path / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_equal_releases_have_equal_reports(reported, tmp_path):
    """Twice in one process, where figures of before have left their marks; the place does not matter."""
    done = run("report", reported.path, "--out", tmp_path / "page", "--workers", 1)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [str(tmp_path / "page" / "index.html")]
    assert files(tmp_path / "page") == files(reported.path / "report")

    again = run("report", reported.path, "--out", tmp_path / "page", "--workers", 1)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_second_report_replaces_the_first(reported, tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    shutil.copytree(reported.path, folder)
    monkeypatch.setattr("mpclean.inspection.report.SECTIONS", SECTIONS[:1])
    report(folder, workers=1)
    release = mpclean.open_release(folder)
    assert release.verify() == []
    assert set(files(folder / "report")) == {"index.html", "figures/funnel.png"}
    rest = {name for name in reported.manifest.files if not name.startswith("report/")}
    assert rest < set(release.manifest.files)


def test_every_section_and_figure_is_there(page, reported):
    anchors = [f"#{section.name}" for section in SECTIONS]
    assert page.attributes("a", "href") == anchors
    assert [f"#{name}" for name in page.attributes("section", "id")] == anchors
    figures = list((reported.path / "report" / "figures").iterdir())
    assert len(page.attributes("img", "src")) == len(figures)
    assert all(len(alt) > 20 for alt in page.attributes("img", "alt"))
    names = {path.stem for path in figures}
    assert {
        "funnel",
        "elements",
        "crystal-systems",
        "space-groups",
        "atoms",
        "bond-lengths",
        "degree",
    } < names
    assert {"edges-per-atom", "dimensionality", "leakage", "target-efermi", "duplicate-energies"} < names
    drawn = {name for name in names if re.fullmatch(r"(excluded|duplicate)-\d\d", name)}
    assert len(drawn) == reported.examples().num_rows > 4


def test_tables_say_what_the_manifest_says(page, reported):
    text = "\n".join(page.text)
    merges = merge_rows(reported.manifest)[1]
    assert any(title == "distinct phases" for title, *_ in merges)
    for row in (*funnel_rows(reported.manifest)[1], *merges):
        assert "".join(row) in text.replace("\n", "")  # a formula's numbers are pieces of their own
    assert merge_note(reported.manifest) in text
    assert text.count(reported.content_hash) == 2
    assert reported.manifest.upstream.licence in text
    made = reported.manifest.more_splits["formula"].parameters
    assert f"seed {made['seed']}" in text
    for _, reason in {(row["rule"], row["reason"]) for row in reported.ledger().to_pylist()}:
        assert reason in text
    assert "Synthetic data" in text


def test_a_page_needs_nothing_else(page):
    """One script, the page's own: it has no source, and the policy lets nothing else run."""
    assert page.attributes("script", "src") == [None]
    policy = page.attributes("meta", "content")[-1]
    assert policy.startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )
    assert set(page.attributes("link", "href")) == set()
    for source in page.attributes("img", "src"):
        kind, content = source.split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        svg = base64.b64decode(content).decode()
        assert "<script" not in svg
        # What an SVG refers to is in itself; the addresses that it names are those of its vocabulary.
        targets = re.findall(r'xlink:href="([^"]*)"', svg)
        assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)


def test_hostile_strings_are_text(hostile_page, hostile):
    page = Page(hostile_page)
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "footer", "section"),
        *("details", "summary", "sub", "script"),
        *("h1", "h2", "h3", "small", "p", "code", "dl", "div", "dt", "dd", "ul", "li", "a", "strong", "span"),
        *("figure", "figcaption", "img", "table", "thead", "tbody", "tr", "th", "td"),
    }
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert set(page.attributes("a", "href")) <= {f"#{section.name}" for section in SECTIONS}
    assert all(s.startswith("data:image/svg+xml;base64,") for s in page.attributes("img", "src"))
    # Name, version, title, licence, stages, ledger, ids, parameters: each is there, as it was written.
    assert sum(hostile in text for text in page.text) > 20
    assert any(alt.startswith("Drawing of") and hostile in alt for alt in page.attributes("img", "alt"))
    assert f"excluded for 0{hostile}" in page.text
    names = {path.name for path in hostile_page.parent.rglob("*")}
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names)


def test_without_its_packages_it_says_what_to_install(unreported, tmp_path, monkeypatch):
    monkeypatch.setattr("mpclean.inspection.report.find_spec", lambda name: None)
    done = run("report", unreported.path, "--out", tmp_path / "page")
    assert done.exit_code == 2
    assert "pip install 'mpclean[report]'" in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_replay_stands_beside_the_published_list(published_salts, snapshot, tmp_path):
    release = mpclean.build(version="2021.05", source=snapshot, out=tmp_path / "replay", workers=1)
    tables = [block for block in provenance.blocks(Context(release)) if block.kind == "table"]
    rows = next(table.rows for table in tables if table.caption == "Against the published list.")
    assert rows == replay_rows(release.manifest)[1]


def test_no_release(tmp_path):
    done = run("report", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_an_id_of_the_materials_project_links_to_its_page():
    found = str(marked("mp-149 and mvc-7 <b>, not demo-1, amp-3 or mp-x", links=True))
    pages = "https://next-gen.materialsproject.org/materials"
    assert (
        f'<a href="{pages}/mp-149" rel="noopener noreferrer">mp-149</a> and <a href="{pages}/mvc-7"' in found
    )
    assert found.endswith("</a> &lt;b&gt;, not demo-1, amp-3 or mp-x")
    assert str(marked("mp-149 <b>", links=False)) == "mp-149 &lt;b&gt;"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("K2TiF4", "K<sub>2</sub>TiF<sub>4</sub>"),
        ("Ca3(PO4)2", "Ca<sub>3</sub>(PO<sub>4</sub>)<sub>2</sub>"),
        ("Zn18 S18, space group 156", "Zn<sub>18</sub> S<sub>18</sub>, space group 156"),
        ("<b>2</b>", "&lt;b&gt;2&lt;/b&gt;"),
    ],
)
def test_formulas_have_subscripts(text, html):
    assert str(subscripted(text)) == html


@pytest.mark.parametrize(
    ("n_splits", "seen", "words"), [(1, 5, None), (3, 15, None), (14, 10, "12 more splits (60 rows)")]
)
def test_many_splits_are_folded(n_splits, seen, words):
    rows = [[f"{split}", f"{level}"] for split in range(n_splits) for level in range(5)]
    parts = list(fold_splits(rows, n_splits))
    assert [row for part, _ in parts for row in part] == rows
    assert len(parts[0][0]) == seen
    assert [folded for _, folded in parts if folded] == ([words] if words else [])
