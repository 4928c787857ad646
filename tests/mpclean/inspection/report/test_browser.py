"""The page in a real browser: headless Chromium, on a desktop, a phone and paper."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
from matplotlib.image import imread

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="needs Chromium and its driver: apt-get install chromium-driver"
)

_FLAGS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-quic", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*_FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield opened
    opened.quit()


def visit(browser, page, width, *, phone=False):
    """Open a page on a screen; what the console said, and every address that was asked for."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return browser.get_log("browser"), asked


def screenshot(browser):
    """The whole page, (height, width, 3)."""
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    return imread(io.BytesIO(base64.b64decode(shot["data"])), format="png")[..., :3]


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (360, True)], ids=["desktop", "phone"])
def test_it_is_drawn(browser, reported, width, phone):
    page = reported.path / "report" / "index.html"
    said, asked = visit(browser, page, width, phone=phone)
    assert said == []
    assert page.as_uri() in asked
    assert all(address.startswith("data:") for address in asked if address != page.as_uri())
    # Nothing but tables and wide figures scrolls sideways, and they within themselves.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    # The last link of the navigation is seen whole.
    ends = "[...document.querySelectorAll('nav a')].map(link => link.getBoundingClientRect().right)"
    assert max(browser.execute_script(f"return {ends}")) <= width
    # Of a crystal that can be turned the picture is for paper only.
    pictures = "[...document.images].filter(image => !image.dataset.crystal)"
    drawn = f"return {pictures}.map(image => image.complete && image.naturalWidth > 0)"
    shown = browser.execute_script(drawn)
    assert len(shown) > 10
    assert all(shown)
    words = "[...document.querySelectorAll('p, td, th, figcaption, nav a, summary')]"
    sizes = browser.execute_script(f"return {words}.map(e => parseFloat(getComputedStyle(e).fontSize))")
    assert min(sizes) >= 14  # CSS pixels
    pixels = screenshot(browser)
    blue = np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=2) < 0.02
    assert blue.mean() > 0.005  # the bars of the figures


def test_it_is_printed(browser, reported):
    visit(browser, reported.path / "report" / "index.html", 1280)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert 5 <= pdf.count(b"/Type /Page\n") <= 30
    assert b"/MediaBox [0 0 594" in pdf  # A4


def test_hostile_strings_do_nothing(browser, hostile_page, hostile):
    said, asked = visit(browser, hostile_page, 360, phone=True)
    assert said == []
    assert all(address.startswith("data:") for address in asked if address != hostile_page.as_uri())
    assert browser.execute_script("return document.scripts.length") == 1
    assert browser.title.startswith(hostile)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


def test_tables_sort(browser, reported):
    visit(browser, reported.path / "report" / "index.html", 1280)
    table = "document.querySelector('#excluded table')"
    cells = f"return [...{table}.tBodies[0].rows].map(row => row.cells[2].textContent)"
    before = browser.execute_script(cells)
    assert len(before) > 2
    for expected in (sorted(before, key=int, reverse=True), sorted(before, key=int), before):
        browser.execute_script(f"{table}.tHead.rows[0].cells[2].querySelector('button').click()")
        assert browser.execute_script(cells) == expected


def test_a_crystal_turns(browser, reported):
    from selenium.webdriver import ActionChains

    visit(browser, reported.path / "report" / "index.html", 1280)
    canvas = browser.find_element("css selector", "#symmetry canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    pixels = "return arguments[0].toDataURL()"
    seen = [browser.execute_script(pixels, canvas)]
    ActionChains(browser).drag_and_drop_by_offset(canvas, 40, 25).perform()
    seen.append(browser.execute_script(pixels, canvas))
    canvas.send_keys("+")
    seen.append(browser.execute_script(pixels, canvas))
    assert len(set(seen)) == 3
    ActionChains(browser).double_click(canvas).perform()
    assert browser.execute_script(pixels, canvas) == seen[0]


def test_a_reader_of_dark_pages_gets_one(browser, reported):
    page = reported.path / "report" / "index.html"
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    try:
        visit(browser, page, 1280)
        pixels = screenshot(browser)
        assert np.median(pixels) < 0.15  # the paper, in the page and in its figures
        assert (pixels.mean(axis=2) > 0.97).mean() < 0.01
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_wide_figures_scroll_with_a_hint_on_a_phone(browser, reported):
    visit(browser, reported.path / "report" / "index.html", 360, phone=True)
    hints = (
        "return [...document.querySelectorAll('.scroll')].map(box => "
        "[box.scrollWidth > box.clientWidth + 1, box.parentElement.classList.contains('overflows')])"
    )
    found = browser.execute_script(hints)
    assert any(overflows for overflows, _ in found)
    assert all(overflows == hinted for overflows, hinted in found)
