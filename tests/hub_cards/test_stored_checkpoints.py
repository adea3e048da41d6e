"""Checkpoints of earlier versions give the same outputs, or are refused with the reason."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from merit import MeritConfig, MeritModel
from merit.modeling_merit.configuration_merit import LAYOUT_VERSION

STORED = Path(__file__).parents[1] / "stored_checkpoints"
sys.path.insert(0, str(STORED))
LAYOUTS = sorted(path for path in STORED.iterdir() if path.name.startswith("layout-"))


def test_a_checkpoint_of_the_current_layout_is_stored():
    assert STORED / f"layout-{LAYOUT_VERSION}" in LAYOUTS
    for folder in LAYOUTS:
        config = json.loads((folder / "config.json").read_text())
        assert folder.name == f"layout-{config['layout_version']}"


def test_a_stored_checkpoint_gives_its_stored_outputs():
    from store import answers

    folder = STORED / f"layout-{LAYOUT_VERSION}"
    stored, now = load_file(folder / "answers.safetensors"), answers(folder)
    assert now.keys() == stored.keys()
    for name, value in stored.items():
        assert value.isfinite().all()
        assert value.std() > 0.01, name
        assert now[name].numpy() == pytest.approx(value.numpy(), abs=2e-4), name


@pytest.mark.parametrize(("other", "advice"), [(LAYOUT_VERSION + 1, "a newer version"), (0, "an earlier version")])
def test_a_checkpoint_of_another_layout_is_refused_with_the_reason(other, advice, tmp_path):
    folder = shutil.copytree(STORED / f"layout-{LAYOUT_VERSION}", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layout_version": other}))
    with pytest.raises(ValueError, match=rf"has layout {other} .* reads {LAYOUT_VERSION}: install {advice}"):
        MeritModel.from_pretrained(folder)


def test_a_checkpoint_without_a_layout_version_has_the_first():
    config = json.loads((STORED / "layout-1" / "config.json").read_text())
    del config["layout_version"]
    assert MeritConfig(**config).layout_version == 1
