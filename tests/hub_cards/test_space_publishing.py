"""The web page as a Space: published to a Hub on loopback, downloaded, installed and started."""

import subprocess
import sys
import urllib.request
from functools import partial

import pytest
import yaml
from loopback_hub import File, Repo
from package_builds import ROOT, build, copy_of_checkout
from running_page import free_port, running

from merit.commands import main
from merit.hub_cards.space_publishing import prepare_space

MODELS = {"MERIT_MODEL": "merit-ptbxl-tiny", "MERIT_REPORT_MODEL": "merit-ptbxl-report"}
# Starts app.py with the installed wheel, and not with an editable install of a checkout.
START = """
import runpy, sys
sys.meta_path = [finder for finder in sys.meta_path if getattr(finder, "__name__", None) != "CheckoutFinder"]
sys.modules.pop("_editable_merit_ecg", None)
import merit
assert merit.__file__.startswith(sys.argv[1]), merit.__file__
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    return build(copy_of_checkout(folder / "checkout"), "build_wheel", folder)


@pytest.fixture
def publish(hub, wheel, run_merit, tmp_path):
    """Publish the page; see `run_merit`."""
    models = ["org/merit-ptbxl-tiny", "--report-model", "org/merit-ptbxl-report"]
    command = ["publish", *models, "--repo-id", "org/page", "--space", wheel]
    return partial(run_merit, *command, **hub.environment(tmp_path / "publisher"))


def get(address):
    with urllib.request.urlopen(address) as reply:
        return reply.read()


@pytest.mark.slow
def test_a_published_space_is_downloaded_installed_and_started(hub, publish, wheel, tmp_path):
    published = publish()
    space = hub.repo("space", "org/page")
    assert published.splitlines()[-1] == f"{hub.url}/spaces/org/page"
    names = {"app.py", "README.md", "requirements.txt", wheel.name}
    assert set(space.at("main").files) == {*names, ".gitattributes"}
    assert [commit.title for commit in space.at("main").history] == ["Publish the web page of MERIT", "initial commit"]
    assert space.variables == {variable: f"org/{name}" for variable, name in MODELS.items()}

    for name in MODELS.values():
        paths = [path for path in (ROOT / "hub_cards" / name).rglob("*") if path.is_file()]
        files = {str(path.relative_to(ROOT / "hub_cards" / name)): File(path.read_bytes()) for path in paths}
        hub.repos["model", f"org/{name}"] = Repo("model", f"org/{name}")
        hub.repo("model", f"org/{name}").commit("Publish", files)
    folder, site = tmp_path / "space", tmp_path / "site"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(get(f"{hub.url}/spaces/org/page/resolve/main/{name}"))
    front = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    requirements = folder / "requirements.txt"
    assert requirements.read_text().startswith(f"merit-ecg[app] @ {hub.url}/spaces/org/page/resolve/main/merit_ecg-")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, "-r", requirements]
    subprocess.run(list(map(str, install)), check=True)

    (folder / "temporary").mkdir()
    port = free_port()
    environment = {**hub.environment(tmp_path / "home", token=None), **space.variables, "PYTHONPATH": str(site)}
    environment["GRADIO_SERVER_PORT"] = str(port)
    with running(folder / "temporary", port, "-c", START, site, **environment) as address:
        assert b"MERIT: read an ECG" in get(address)
        assert b"Research software, not a medical device" in get(f"{address}config")


@pytest.mark.slow
def test_a_dry_run_shows_the_files_and_sends_nothing(hub, publish, wheel):
    assert {"app.py", "README.md", "requirements.txt", wheel.name, "Nothing was sent."} <= set(
        publish("--dry-run").splitlines()
    )
    assert hub.requests == []


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (["--space", "page.whl", "--private"], "--private"),
        (
            [
                "--space",
                "page.whl",
                "--force",
                "--create-pr",
                "--revision",
                "next",
                "--type",
                "dataset",
                "--licence",
                "mit",
            ],
            "--revision, --create-pr, --force, --type, --licence",
        ),
        (["--report-model", "org/reports"], "--report-model"),
        (["--report-model", "org/reports", "--type", "dataset"], "--report-model"),
        (["--licence", "mit"], "--licence"),
    ],
)
def test_options_that_do_not_apply_to_what_is_published_are_refused_by_name(given, refused, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["merit", "publish", "org/merit", "--repo-id", "org/page", *given])
    assert main() == 1
    assert capsys.readouterr().err.endswith(f": leave out {refused}.\n")


def test_only_a_wheel_of_this_package_is_taken(tmp_path):
    with pytest.raises(ValueError, match="is not a wheel of merit-ecg"):
        prepare_space(tmp_path, tmp_path / "other.whl", "org/page", "https://huggingface.co")


def test_the_space_asks_for_the_gradio_of_the_tests():
    front = yaml.safe_load((ROOT / "hub_cards" / "space" / "README.md").read_text().split("---")[1])
    assert f"gradio=={front['sdk_version']}\n" in (ROOT / "constraints.txt").read_text()
