"""The web page of `merit app`, used in headless Chromium as a person uses it."""

import base64
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import format_files
import numpy as np
import pytest
from package_builds import ROOT
from playwright.sync_api import sync_playwright
from running_page import SECONDS, free_port, running

TINY = ROOT / "hub_cards" / "merit-ptbxl-tiny"
RECORD = TINY / "example" / "00001_lr"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def address(temporary):
    models = ["--model", TINY, "--report-model", ROOT / "hub_cards" / "merit-ptbxl-report"]
    port = free_port()
    with running(temporary, port, "-m", "merit", "app", *models, "--port", port) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if not chromium:
        missing = "chromium is not installed (Debian: apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page as a new user. All that the browser asks for comes from the page itself."""
    contexts, asked = [], []

    def open_page(width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.goto(address)
        page.locator("#read").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def drop(page, *paths):
    """Drop files on the page, and wait until it has them."""
    contents = {path.name: base64.b64encode(path.read_bytes()).decode() for path in paths}
    transfer = page.evaluate_handle(
        """contents => {
            const transfer = new DataTransfer();
            for (const [name, content] of Object.entries(contents))
                transfer.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt(0))], name));
            return transfer;
        }""",
        contents,
    )
    page.dispatch_event("#files button", "drop", {"dataTransfer": transfer})
    page.locator("#example").wait_for(state="hidden")


def read(page):
    page.click("#read")
    page.locator("#picture img").wait_for()


def rows(page):
    """The cells of the table of scores but for the bar."""
    table = [row.locator("td:not(.bar)").all_inner_texts() for row in page.locator("#scores tr").all()]
    return {label: cells for label, *cells in table[1:]}


def download(page, kind):
    with page.expect_download() as started:
        page.click(f"text=Download {kind}")
    return Path(started.value.path()).read_bytes()


def stored(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A recording in each format, by its name."""
    folder = tmp_path_factory.mktemp("files")
    format_files.write_dicom(folder / "cart.dcm", format_files.twelve_leads())
    format_files.write_muse(folder / "muse.xml", format_files.twelve_leads(seed=1))
    samples = np.random.default_rng(0).normal(size=(1000, 2))
    lines = [f"{i / 100:.2f},{one:.4f},{two:.4f}" for i, (one, two) in enumerate(samples)]
    (folder / "table.csv").write_text("\n".join(["time [s],I [mV],II [mV]", *lines]))
    (folder / "broken.csv").write_text("this is no ECG\n")
    (folder / "broken.dcm").write_bytes((folder / "cart.dcm").read_bytes()[:3000])
    paths = {path.name: [path] for path in folder.iterdir()}
    return {**paths, "wfdb": [RECORD.with_suffix(".hea"), RECORD.with_suffix(".dat")]}


def test_a_wfdb_pair_is_read_and_the_downloads_say_the_same(visit, files):
    page = visit()
    assert "Research software, not a medical device" in page.inner_text("body")
    drop(page, *files["wfdb"])
    page.uncheck("text=right bundle branch block")
    page.check("text=left ventricular hypertrophy")
    page.fill("#written textarea", "Osborn waves")
    read(page)
    picture = page.get_attribute("#picture img", "alt")
    assert picture.startswith("00001_lr.hea on ECG paper. Heart rate ")
    answer = json.loads(download(page, "JSON"))
    shown = rows(page)
    assert list(shown) == [entry["label"] for entry in answer["labels"]]
    assert set(shown) == {
        "normal ECG",
        "atrial fibrillation",
        "inferior myocardial infarction",
        "anterior myocardial infarction",
        "left bundle branch block",
        "left ventricular hypertrophy",
        "Osborn waves",
    }
    for entry in answer["labels"]:
        assert shown[entry["label"]][0] == f"{entry['score']:.2f}"
    assert re.fullmatch(r"learned from [\d,]+ reports", shown["normal ECG"][1])
    assert re.fullmatch(r"(present|absent) \(sensitivity 0\.\d\d, specificity 0\.\d\d\)", shown["normal ECG"][2])
    assert shown["Osborn waves"][1:] == ["unknown", "no threshold"]
    text = page.inner_text("#scores")
    assert "Nothing speaks against trusting the scores." in text
    assert f"Atypicality {answer['quality']['atypicality']:.2f}" in text
    assert "The model does not know 'Osborn waves'" in text
    assert f"What the score of {answer['explanation']['label']} depends on" in text
    assert "no evidence for or against a finding" in text
    assert set(answer["explanation"]["lead_names"]) == set(format_files.STANDARD)
    assert answer["report"]["report"] in page.inner_text("#report")
    assert "not a medical device" in answer["notice"]
    assert download(page, "PDF").startswith(b"%PDF")


@pytest.mark.parametrize("name", ["cart.dcm", "muse.xml"])
def test_a_file_of_a_hospital_is_read_without_its_identity(name, visit, files):
    page = visit()
    drop(page, *files[name])
    page.uncheck("#explain input")
    read(page)
    assert page.get_attribute("#picture img", "alt").startswith(f"{name} on ECG paper. Heart rate 75/min")
    assert len(rows(page)) == 6
    assert "depends on" not in page.inner_text("#scores")
    everything = page.content() + download(page, "JSON").decode()
    assert [identity for identity in format_files.IDENTITY if identity in everything] == []


def test_what_limits_an_answer_is_shown_above_the_scores(visit, files):
    page = visit()
    drop(page, *files["table.csv"])
    read(page)
    before = page.inner_text("#scores").split("\nScores\n")[0]
    assert "Do not rely on the scores: the leads are noisy" in before
    assert before.count("the leads are noisy") == 1
    assert "Derived from other leads: III, aVR, aVL, aVF." in before
    assert "Not recorded, or left out: V1, V2, V3, V4, V5, V6." in before


@pytest.mark.parametrize("name", ["broken.csv", "broken.dcm"])
def test_a_broken_file_is_named_and_can_be_taken_away(name, visit, files, temporary):
    page = visit()
    drop(page, *files[name])
    page.click("#read")
    message = page.inner_text("#picture .error")
    assert "broken" in message
    assert str(temporary) not in message
    page.click("#files button[aria-label='Clear']")
    page.locator("#example").wait_for()
    assert page.inner_text("#picture") == ""


def test_nothing_is_read_before_something_is_chosen(visit):
    page = visit()
    page.click("#read")
    assert "Choose a file or an example." in page.inner_text("#picture .error")


@pytest.mark.parametrize("width", [1280, 390])
def test_each_decision_stands_on_one_line(width, visit, files):
    page = visit(width)
    drop(page, *files["wfdb"])
    page.uncheck("#explain input")
    read(page)
    lines = page.evaluate(
        """() => [...document.querySelectorAll('#scores td:last-child')].map(cell => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            return text.getClientRects().length;
        })"""
    )
    assert lines == [1] * 6


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_by_keyboard_at_the_widths_of_a_desk_and_a_phone(width, visit, files):
    page = visit(width)

    def tab_to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    page.on("filechooser", lambda chooser: chooser.set_files(files["wfdb"]))
    tab_to("#files button")
    page.keyboard.press("Enter")
    page.locator("#example").wait_for(state="hidden")
    tab_to("#labels input")
    page.keyboard.press("Space")
    tab_to("#written textarea")
    page.keyboard.type("sinus tachycardia")
    tab_to("#explain input")
    page.keyboard.press("Space")
    tab_to("#read")
    page.keyboard.press("Enter")
    page.locator("#picture img").wait_for()
    assert "sinus tachycardia" in rows(page)
    assert "normal ECG" not in rows(page)
    tab_to("[download='ecg.json']")
    with page.expect_download() as started:
        page.keyboard.press("Enter")
    assert json.loads(Path(started.value.path()).read_bytes())["labels"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_users_at_once_get_their_own_answers_and_nothing_is_stored(visit, files, temporary):
    """Two of them drop the same file; all is deleted before it is read, twice."""
    names = ["cart.dcm", "muse.xml", "cart.dcm"]
    pages = [visit() for _ in names]
    for page, name in zip(pages, names):
        drop(page, *files[name])
    end = time.monotonic() + 20
    while stored(temporary):
        assert time.monotonic() < end, stored(temporary)
        time.sleep(0.2)
    for page in pages:
        page.click("#read")
    for page, name in zip(pages, names):
        page.locator("#picture img").wait_for()
        assert page.get_attribute("#picture img", "alt").startswith(f"{name} ")
    first, other, same = map(rows, pages)
    assert first == same != other
    pages[0].fill("#written textarea", "pacemaker")
    pages[0].click("#read")
    pages[0].locator("#scores td:text-is('pacemaker')").wait_for()
    assert stored(temporary) == []


def test_a_file_above_the_limit_is_refused(visit, tmp_path, temporary):
    large = tmp_path / "large.csv"
    large.write_bytes(b"0" * (20 * 1024 * 1024 + 1))
    page = visit()
    page.set_input_files("#files input[type=file]", large)
    page.locator("text=exceed the maximum allowed size of 20").wait_for()
    assert [path for path in stored(temporary) if path.stat().st_size > 10**6] == []


def test_without_gradio_the_command_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    from merit.commands.use import app

    with pytest.raises(ImportError, match=r"merit-ecg\[app\]"):
        app()
