"""What an installation holds: the wheel and the sdist, and an editable install of a checkout of any name."""

import tarfile
import zipfile
from email.parser import Parser

import pytest
from package_builds import ROOT, build, copy_of_checkout, run

pytestmark = pytest.mark.slow

SOURCES = ("merit", "modeling_merit", "processing", "training", "hub_cards")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A clone in a folder that is called like the package."""
    if not (ROOT / ".git").exists():
        pytest.skip("the tests do not run in a git checkout, which says which files belong to the project")
    return copy_of_checkout(tmp_path_factory.mktemp("clones") / "merit")


@pytest.fixture(scope="module")
def site(checkout, tmp_path_factory):
    """A site folder with the editable install of the clone."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(build(checkout, "build_editable", tmp_path_factory.mktemp("editable"))) as wheel:
        wheel.extractall(folder)
    return folder


def run_installed(code, site, cwd, *arguments):
    # Ahead of this environment's own installation of the package.
    others = "[finder for finder in sys.meta_path if getattr(finder, '__name__', None) != 'CheckoutFinder']"
    preamble = f"import sys, site; sys.meta_path = {others}\n"
    return run(
        f"{preamble}sys.modules.pop('_editable_merit_ecg', None)\nsys.path.insert(0, {str(site)!r})\n"
        f"site.addsitedir({str(site)!r})\n{code}",
        *arguments,
        cwd=cwd,
    )


def test_an_editable_install_is_not_hidden_by_a_clone_named_merit(checkout, site):
    found = run_installed(
        "sys.path.insert(0, sys.argv[1])\nimport merit; print(merit.__version__, merit.__file__)",
        site,
        checkout.parent,
        checkout.parent,
    )
    assert found[1] == str(checkout / "merit" / "__init__.py")


def test_a_new_file_is_importable_in_an_editable_install_without_installing_again(checkout, site):
    new = [checkout / "training" / "text" / "new_file.py", checkout / "training" / "new_room" / "__init__.py"]
    for path in new:
        path.parent.mkdir(exist_ok=True)
        path.write_text("VALUE = 7\n")
    code = "import merit.training.text.new_file as a, merit.training.new_room as b; print(a.VALUE, b.VALUE)"
    try:
        assert run_installed(code, site, checkout.parent) == ["7", "7"]
    finally:
        for path in new:
            path.unlink()
        new[1].parent.rmdir()


def test_an_editable_install_finds_the_checkpoints_of_the_checkout(checkout, site):
    found = run_installed("from merit import hub_cards; print(*hub_cards.__path__)", site, checkout.parent)
    assert found == [str(checkout / "hub_cards")]


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """The files of a wheel by their names."""
    with zipfile.ZipFile(build(checkout, "build_wheel", tmp_path_factory.mktemp("wheel"))) as file:
        return {name: file.read(name) for name in file.namelist()}


def files_of_the_package():
    """The names in a wheel of all that lies in the folders of the package."""
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            left_out = name.startswith("hub_cards/merit-") or "__pycache__" in path.parts
            if path.is_file() and not left_out:
                yield name if source == "merit" else f"merit/{name}"


def test_the_wheel_holds_every_module_and_data_file_of_the_package_and_no_more(wheel):
    expected = set(files_of_the_package())
    assert {name for name in wheel if ".dist-info/" not in name} == expected
    metadata = Parser().parsestr(next(text for name, text in wheel.items() if name.endswith("METADATA")).decode())
    assert metadata["Name"] == "merit-ecg"
    assert "merit/py.typed" in wheel


def test_the_sdist_builds_the_same_wheel(checkout, wheel, tmp_path):
    with tarfile.open(build(checkout, "build_sdist", tmp_path)) as sdist:
        sdist.extractall(tmp_path / "sdist", filter="data")
    (source,) = (tmp_path / "sdist").iterdir()
    with zipfile.ZipFile(build(source, "build_wheel", tmp_path)) as file:
        again = {name: file.read(name) for name in file.namelist()}
    assert {name for name in again if again[name] != wheel.get(name)} == set()
    assert again.keys() == wheel.keys()
