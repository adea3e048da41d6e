"""The web page, clicked through in headless Chromium."""

import base64
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from merit.hub_cards.space_publishing import prepare_space

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "hub_cards" / "merit-ptbxl-tiny" / "example" / "00001_lr"


def test_a_space_has_the_page_the_wheel_and_requirements_that_name_it(tmp_path):
    wheel = tmp_path / "merit_ecg-0.2.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (tmp_path / "space").mkdir()
    folder = prepare_space(tmp_path / "space", wheel, "org/page", "https://huggingface.co")
    assert {path.name for path in folder.iterdir()} == {"app.py", "README.md", "requirements.txt", wheel.name}
    address = f"https://huggingface.co/spaces/org/page/resolve/main/{wheel.name}"
    assert (folder / "requirements.txt").read_text() == f"merit-ecg[app] @ {address}\n"
    with pytest.raises(ValueError, match="is not a wheel of merit-ecg"):
        prepare_space(tmp_path / "space", tmp_path / "other.whl", "org/page", "https://huggingface.co")


@pytest.fixture(scope="module")
def address():
    """A running page with the smallest checkpoints."""
    pytest.importorskip("gradio", reason="the extra merit-ecg[app] is not installed")
    from merit.hub_cards.space.app import build, launch

    page = build(str(RECORD.parents[1]), str(ROOT / "hub_cards" / "merit-ptbxl-report"))
    _, local, _ = launch(page, prevent_thread_lock=True, quiet=True)
    yield local
    page.close()


@pytest.fixture
def browser(tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1600"):
        options.add_argument(argument)
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()


class Page:
    def __init__(self, browser, address):
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser, self.wait = browser, WebDriverWait(browser, 120)
        browser.get(address)
        self.wait.until(lambda _: self.find("#read"))

    def find(self, selector):
        from selenium.webdriver.common.by import By

        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found else None

    def upload(self, *paths):
        self.find("#files input[type=file]").send_keys("\n".join(map(str, paths)))
        self.wait.until(lambda _: all(path.name.split(".")[0] in self.find("#files").text for path in paths))

    def read(self, expected="#picture img"):
        self.find("#read").click()
        self.wait.until(lambda _: self.find(expected))

    def downloaded(self, name):
        content = self.find(f"a[download='{name}']").get_attribute("href").split(",", 1)[1]
        return base64.b64decode(content)


@pytest.mark.slow
def test_a_wfdb_pair_is_read_explained_and_downloaded(browser, address):
    page = Page(browser, address)
    page.upload(RECORD.with_suffix(".hea"), RECORD.with_suffix(".dat"))
    page.read()
    assert "Heart rate" in page.find("#picture img").get_attribute("alt")
    assert "normal ECG" in page.find("#scores").text
    assert "no evidence" in page.find("#scores").text
    assert "Drafted report" in page.find("#report").text
    answer = json.loads(page.downloaded("ecg.json"))
    assert len(answer["labels"]) == 6
    assert set(answer["explanation"]["lead_names"]) >= {"I", "II", "V1"}
    assert "not a medical device" in answer["notice"]
    assert page.downloaded("ecg.pdf").startswith(b"%PDF")


@pytest.mark.slow
def test_a_table_with_missing_leads_is_read_and_a_broken_file_explained(browser, address, tmp_path):
    table = tmp_path / "table.csv"
    signal = np.random.default_rng(0).normal(size=(1000, 2))
    rows = [f"{i / 100:.2f},{a:.4f},{b:.4f}" for i, (a, b) in enumerate(signal)]
    table.write_text("\n".join(["time [s],I [mV],II [mV]", *rows]))
    page = Page(browser, address)
    page.upload(table)
    page.read()
    assert "Derived from other leads: III, aVR, aVL, aVF." in page.find("#scores").text
    broken = tmp_path / "broken.csv"
    broken.write_text("this is no ECG\n")
    page = Page(browser, address)
    page.upload(broken)
    page.read("#picture .error")
    message = page.find("#picture .error").text
    assert "broken" in message
    assert "/tmp" not in message


@pytest.mark.slow
def test_an_example_is_read_by_keyboard_on_the_width_of_a_phone(browser, address):
    from selenium.webdriver.common.keys import Keys

    browser.set_window_size(500, 900)
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page = Page(browser, address)
    active = browser.switch_to.active_element
    for _ in range(60):
        active.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        if active.get_attribute("id") == "read":
            break
    active.send_keys(Keys.ENTER)
    page.wait.until(lambda _: page.find("#picture img"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_uploaded_files_are_deleted_when_they_have_been_read(tmp_path):
    pytest.importorskip("gradio", reason="the extra merit-ecg[app] is not installed")
    from merit.hub_cards.space.app import Reader

    files = [str(shutil.copy(RECORD.with_suffix(suffix), tmp_path)) for suffix in (".hea", ".dat")]
    picture, scores, _ = Reader(str(RECORD.parents[1])).read(files, None, ["normal ECG"], "", False)
    assert "<img" in picture
    assert "normal ECG" in scores
    assert not list(tmp_path.iterdir())


def test_without_gradio_the_command_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    from merit.commands.use import app

    with pytest.raises(ImportError, match=r"merit-ecg\[app\]"):
        app()
