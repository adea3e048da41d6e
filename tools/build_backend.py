"""
The build backend: setuptools, but for editable installs.

The folders of this repository are the sub-packages of one import name, `merit`. For such a layout setuptools writes an
import finder that comes after the search of sys.path. A clone that is itself called merit then hides the package: a
script beside it imports the folder as an empty namespace package. This backend writes a finder that comes first.
"""

from email.parser import Parser
from pathlib import Path

from setuptools import Distribution, build_meta
from setuptools.build_meta import (  # noqa: F401  the hooks that pip calls
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)
from wheel.wheelfile import WheelFile

ROOT = Path(__file__).resolve().parents[1]

FINDER = '''\
"""Finds the packages of an editable install of {name} in their checkout."""

import os
import sys
from importlib.util import spec_from_file_location

PACKAGES = {packages!r}


class CheckoutFinder:
    @staticmethod
    def find_spec(fullname, path=None, target=None):
        folder = PACKAGES.get(fullname)
        if folder is None:
            return None  # modules and sub-packages are found in the folder of their package
        init = os.path.join(folder, "__init__.py")
        return spec_from_file_location(fullname, init, submodule_search_locations=[folder])


sys.meta_path.insert(0, CheckoutFinder)
'''


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Write a wheel that holds the metadata, the finder, and a .pth file that starts it."""
    project = Distribution()
    project.parse_config_files([str(ROOT / "pyproject.toml")])
    packages = {name: str(ROOT / folder) for name, folder in project.package_dir.items()}
    metadata = Path(metadata_directory or wheel_directory)
    info = metadata if (metadata / "METADATA").is_file() else None
    if info is None:
        info = metadata / build_meta.prepare_metadata_for_build_editable(str(metadata), config_settings)
    fields = Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"), headersonly=True)
    name, version = fields["Name"].replace("-", "_"), fields["Version"]
    wheel = f"{name}-{version}-0.editable-py3-none-any.whl"
    with WheelFile(Path(wheel_directory, wheel), "w") as file:
        file.writestr(f"_editable_{name}.py", FINDER.format(name=fields["Name"], packages=packages))
        file.writestr(f"_editable_{name}.pth", f"import _editable_{name}\n")
        for path in sorted(info.rglob("*")):
            if path.is_file() and path.name not in ("RECORD", "WHEEL"):
                file.writestr(f"{name}-{version}.dist-info/{path.relative_to(info).as_posix()}", path.read_bytes())
        file.writestr(
            f"{name}-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: merit\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
    return wheel
