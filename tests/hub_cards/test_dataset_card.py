import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from loopback_hub import LoopbackHub, validates

from merit.hub_cards.dataset_card import publish_dataset, write_dataset_card
from merit.hub_cards.publish import PublishError
from merit.training.data.open_datasets import OPEN_DATASETS
from merit.training.data.preparation import load_prepared, prepare
from merit.training.data.sources.ptbxl import PtbXl

ROOT = Path(__file__).parents[2]
HF = str(Path(sys.executable).with_name("hf"))


@pytest.fixture(scope="module")
def prepared(simulated, tmp_path_factory):
    return prepare(PtbXl(simulated), tmp_path_factory.mktemp("prepared") / "ecgs")


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(prepared, tmp_path / "ecgs")


def manifest(folder):
    return json.loads((folder / "prepared.json").read_text())


def rows_of_table(text):
    return {
        cells[0]: cells[1:] for line in text.splitlines() if (cells := [c.strip() for c in line.strip("|").split("|")])
    }


def test_the_counts_of_a_card_are_those_of_the_data_set(folder):
    text = write_dataset_card(folder).read_text()
    data = load_prepared(folder)
    rows = rows_of_table(text)
    assert rows["records"] == [str(len(split)) for split in data.values()]
    assert rows["patients"] == [str(len(set(split["patient_id"]))) for split in data.values()]
    assert rows["records with a report"] == [str(sum(map(bool, split["report"]))) for split in data.values()]
    for language in ("de", "en"):
        assert rows[f"report in {language}"] == [str(split["language"][:].count(language)) for split in data.values()]
    labelled = [str(sum(map(any, split["labels_super"]))) for split in data.values()]
    assert rows["records with a label of task `super`"] == labelled
    afib = data["train"].features["all"].feature.str2int("AFIB")
    assert rows["AFIB"][0] == "atrial fibrillation"
    assert rows["AFIB"][1:] == [str(sum(afib in present for present in split["all"])) for split in data.values()]


def test_a_card_tells_rates_leads_and_durations(folder):
    rows = rows_of_table(write_dataset_card(folder).read_text())
    splits = len(load_prepared(folder))
    assert rows["sampling rate in Hz (records)"] == ["100"] * splits
    assert rows["number of leads (records)"] == ["12"] * splits
    assert rows["duration in seconds"] == ["10.0"] * splits


def test_the_example_of_a_card_gives_millivolts(folder):
    text = write_dataset_card(folder, str(folder)).read_text()
    values = {}
    exec(text.split("```python\n")[1].split("```")[0], values)
    first = load_prepared(folder)["train"][0]
    expected = (np.reshape(first["signal"], (12, 1000)).T - first["baseline"]) / first["gain"]
    np.testing.assert_allclose(values["millivolts"], expected.T)


def test_names_from_files_are_shown_as_they_are(folder):
    hostile, escaped = "a|b <i>\n# [c](d)\u202e", r"a\|b &lt;i&gt; # \[c\](d)" + "\ufffd"
    facts = manifest(folder)
    for split in facts["splits"].values():
        split["languages"][hostile] = 3
        split["tasks"] = {hostile: {"records": 1, "positives": {hostile: 1}}}
    facts["codes_without_label"] = {hostile: 2}
    facts["preparation"]["source"] = hostile
    (folder / "prepared.json").write_text(json.dumps(facts))
    body = write_dataset_card(folder).read_text().split("\n---\n", 1)[1]
    assert f"# {escaped}, prepared for MERIT" in body
    assert f"| report in {escaped} |" in body
    assert f"\n| {escaped} |  | 1 |" in body
    assert f"any task: {escaped} (2)." in body
    assert r"task `a\|b <i> # [c](d)" + "\ufffd`" in body
    assert hostile not in body


def test_simulated_data_never_goes_by_the_name_of_ptbxl(folder):
    assert manifest(folder)["published"] is None
    text = write_dataset_card(folder).read_text()
    assert "# Simulated ECGs" in text
    assert "PTB-XL" not in text
    assert DatasetCard(text).data.license is None
    assert set(load_prepared(folder)["train"]["source"]) == {"simulated"}


def test_the_card_of_a_published_data_set_states_its_terms(simulated, tmp_path):
    tree = shutil.copytree(simulated, tmp_path / "tree")
    (tree / "simulation.csv").unlink()
    text = write_dataset_card(prepare(PtbXl(tree), tmp_path / "ecgs")).read_text()
    assert DatasetCard(text).data.license == "cc-by-4.0"
    assert OPEN_DATASETS["ptbxl"].citation in text


def test_a_card_without_a_prepared_data_set_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no prepared data set"):
        write_dataset_card(tmp_path)


def test_load_dataset_finds_the_splits_with_the_card(folder):
    write_dataset_card(folder)
    streamed = load_dataset(str(folder), streaming=True)
    for split, rows in load_prepared(folder).items():
        assert [row["record_id"] for row in streamed[split]] == rows["record_id"][:]
        assert streamed[split].features == rows.features


@pytest.mark.slow
def test_a_prepared_folder_is_uploaded_and_streamed_as_it_is(folder, fresh_environment, fresh_python, tmp_path):
    write_dataset_card(folder, "org/ecgs")
    code = """
import json, sys
from datasets import load_dataset
data = load_dataset("org/ecgs", streaming=True)
def of(row):
    return [row["record_id"], sum(row["signal"]), row["labels_super"]]
print(json.dumps({name: list(map(of, rows)) for name, rows in data.items()}))
"""
    with LoopbackHub() as hub:
        environment = {**fresh_environment, **hub.environment(tmp_path / "home")}
        upload = [HF, "upload", "org/ecgs", str(folder), ".", "--repo-type", "dataset"]
        subprocess.run(upload, env=environment, check=True, capture_output=True, timeout=120)
        streamed = json.loads(fresh_python(code, **hub.environment(tmp_path / "reader")).splitlines()[-1])
    for split, rows in load_prepared(folder).items():
        expected = [[row["record_id"], sum(row["signal"]), row["labels_super"]] for row in rows]
        assert streamed[split] == expected


@validates
def test_the_hub_accepts_the_card(folder, hub, fresh_python, tmp_path):
    path = write_dataset_card(folder)
    code = """
import sys
from functools import partial
from huggingface_hub import DatasetCard
DatasetCard.load(sys.argv[1]).validate(repo_type="dataset")
"""
    fresh_python(code, path, **hub.environment(tmp_path))
    assert [request.path for request in hub.requests] == ["/api/validate-yaml"]


@pytest.fixture
def merit(hub, run_merit, tmp_path):
    return partial(run_merit, **hub.environment(tmp_path / "publisher"))


def on_hub(hub):
    commit = hub.repo("dataset", "org/ecgs").at("main")
    return {path: file.data for path, file in commit.files.items() if path != ".gitattributes"}


@pytest.mark.slow
def test_a_data_set_is_published_in_one_commit_and_trained_on_from_the_hub(
    folder, hub, merit, fresh_environment, tmp_path
):
    """Its shards, its manifest and its card go up, and nothing else; an upload that broke is not repeated."""
    (folder / "skipped.csv").write_text("record_id,reason\nSmith,unreadable\n")
    (folder / "train" / "cache-1.arrow").write_bytes(b"of a shuffled data set")
    publish = ["publish", folder, "--type", "dataset", "--repo-id", "org/ecgs"]
    shown = merit(*publish, "--dry-run")
    assert "holds what its manifest lists" in shown
    assert "+ README.md" in shown
    assert hub.writes() == []
    hub.fail("POST", "/commit/main$", times=3, status=503)
    assert "Run the same command again" in merit(*publish, status=1)
    assert on_hub(hub) == {}
    sent = sum(request.method == "PUT" for request in hub.requests)
    assert merit(*publish).splitlines()[-1].startswith(f"{hub.url}/datasets/org/ecgs/commit/")
    assert sum(request.method == "PUT" for request in hub.requests) == sent > 0
    expected = ["README.md", "prepared.json", *manifest(folder)["shards"]]
    assert on_hub(hub) == {name: (folder / name).read_bytes() for name in expected}
    assert b'load_dataset("org/ecgs"' in on_hub(hub)["README.md"]
    assert len(hub.repo("dataset", "org/ecgs").at("main").history) == 2

    example = [ROOT / "examples" / "finetune.py", ROOT / "hub_cards" / "merit-ptbxl-tiny", "org/ecgs", "super"]
    done = subprocess.run(
        [sys.executable, *map(str, example), str(tmp_path / "output")],
        env={**fresh_environment, **hub.environment(tmp_path / "reader", token=None)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "eval_loss" in done.stdout
    assert (tmp_path / "output" / "model" / "model.safetensors").is_file()


def change_source(folder, published):
    facts = manifest(folder)
    facts["published"], facts["preparation"]["source"] = published, "mine"
    (folder / "prepared.json").write_text(json.dumps(facts))


def test_recordings_of_ones_own_need_a_licence(folder, capsys):
    change_source(folder, None)
    with pytest.raises(PublishError, match=r"no licence is stated.*--licence cc-by-4\.0"):
        publish_dataset(folder, "org/ecgs")
    publish_dataset(folder, "org/ecgs", "cc-by-4.0", dry_run=True)
    assert "Nothing was sent." in capsys.readouterr().out
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert "Licence: cc-by-4.0." in card.text


def test_a_licence_that_forbids_copies_is_respected(folder):
    published = vars(OPEN_DATASETS["ptbxl"]) | {"licence": "PhysioNet Credentialed Health Data License 1.5.0"}
    change_source(folder, published)
    with pytest.raises(PublishError, match=r"Credentialed.*does not allow copies.*merit prepare mine"):
        publish_dataset(folder, "org/ecgs")
    change_source(folder, vars(OPEN_DATASETS["ptbxl"]))
    with pytest.raises(PublishError, match="leave out --licence"):
        publish_dataset(folder, "org/ecgs", "cc0-1.0")


def test_the_card_names_every_column_that_goes_up(folder):
    text = write_dataset_card(folder).read_text()
    features = load_prepared(folder)["train"].features
    tasks = manifest(folder)["splits"]["train"]["tasks"]
    own = [name for name in features if name.removeprefix("labels_") not in tasks]
    assert [name for name in own if f"`{name}`" not in text] == []
