"""The examples run as they stand."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TINY = ROOT / "hub_cards" / "merit-ptbxl-tiny"


def run_example(name, *arguments):
    """What an example prints."""
    run = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
def test_the_fine_tuning_script_is_short_and_runs(here, tmp_path):
    assert len((EXAMPLES / "finetune.py").read_text(encoding="utf-8").splitlines()) < 50
    model, data = TINY, here / "demo" / "simulated"
    printed = run_example("finetune.py", model, data, "super", tmp_path)
    assert "eval_macro_auc" in printed
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_lora_script_trains_little_and_leaves_adapter_and_model(here, prepared, tmp_path):
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    printed = run_example("lora.py", TINY, prepared, "super", tmp_path)
    trained, total = re.search(r"trainable params: ([\d,]+) \|\| all params: ([\d,]+)", printed).groups()
    assert int(trained.replace(",", "")) < 0.1 * int(total.replace(",", ""))
    assert "eval_loss" in printed
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    changes = [weight for name, weight in weights.items() if "lora_B" in name]
    assert changes
    assert all(weight.any() for weight in changes)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    labels = merged.num_labels
    base = AutoModelForSequenceClassification.from_pretrained(TINY, num_labels=labels)
    adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    for name, weight in merged.state_dict().items():
        assert (weight - adapted[name]).abs().max() < 1e-6, name


@pytest.mark.slow
def test_the_scikit_learn_script_prints_the_auc_of_a_probe(here, prepared):
    printed = run_example("features_sklearn.py", TINY, prepared, "super")
    assert 0 < float(re.search(r"macro AUC ([\d.]+)", printed)[1]) <= 1


@pytest.mark.slow
def test_the_onnx_script_computes_the_features_of_the_model(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    from transformers import AutoModel, AutoProcessor

    from merit import export

    record = str(TINY / "example" / "00001_lr")
    model, processor = AutoModel.from_pretrained(TINY).eval(), AutoProcessor.from_pretrained(TINY)
    folder = export(model, processor, tmp_path / "exported", onnx=True)
    printed = run_example("onnx_encoder.py", folder, record)
    found = [float(number) for number in re.findall(r"-?\d*\.\d*", printed)]
    expected = model.ecg_model(**processor(ecg=[record])).pooler_output[0, :4].tolist()
    assert found == pytest.approx(expected, abs=1e-2)


@pytest.mark.slow
def test_the_ray_script_predicts_an_archive(here, tmp_path):
    pytest.importorskip("ray", reason="needs the extra ray")
    import pandas as pd

    folder = tmp_path / "archive"
    shutil.copytree(here / "demo" / "simulated" / "records100", folder)
    broken = min(folder.rglob("*.dat"))
    broken.write_bytes(broken.read_bytes()[:100])
    printed = run_example("archive_ray.py", TINY, folder, tmp_path / "answers")
    answers = pd.read_parquet(tmp_path / "answers")
    assert f"{len(answers)} recordings in" in printed
    assert sorted(answers["path"]) == sorted(map(str, folder.rglob("*.hea")))
    failed = answers["path"] == str(broken.with_suffix(".hea"))
    assert answers["error"].notna().tolist() == failed.tolist()
    assert answers.loc[~failed, "score_NORM"].between(0, 1).all()
    assert {len(embedding) for embedding in answers.loc[~failed, "embedding"]} == {128}


@pytest.mark.slow
def test_the_report_example_prints_a_report_in_both_languages():
    folder = ROOT / "hub_cards" / "merit-ptbxl-report"
    printed = run_example("report.py", folder, folder / "example" / "00001_lr").splitlines()
    reports = {line[:2]: line[4:] for line in printed if line.startswith(("en: ", "de: "))}
    assert "normal axis." in reports["en"]
    assert reports["de"]
    assert reports["de"] != reports["en"]


@pytest.mark.slow
def test_the_pretraining_example_leaves_a_model_that_classifies(tmp_path):
    printed = run_example("pretrain.py", tmp_path)
    assert "normal ECG" in printed
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_the_readme_names_every_example():
    texts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
    assert [path.name for path in EXAMPLES.glob("*.py") if f"examples/{path.name}" not in texts] == []
