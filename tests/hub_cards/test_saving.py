"""Models saved in the usual ways load in a process with the package and in one without it."""

import json
from pathlib import Path

import pytest
from transformers import AutoModel, AutoModelForSequenceClassification, pipeline

pytestmark = pytest.mark.slow

TASKS = {
    "model": "zero-shot-ecg-classification",
    "features": "ecg-feature-extraction",
    "classifier": "ecg-classification",
    "reporter": "ecg-report-generation",
    "encoder": "ecg-feature-extraction",
}
WAYS = ("pipeline", "model and processor", "trainer")
SAVERS = ("with the package", "without the package")

# Both run in this process and in one without the package.
SAVE = """
import json, sys
from pathlib import Path
from transformers import Trainer, TrainingArguments, pipeline

def save_all(folders, place):
    for name, (task, folder) in folders.items():
        pipe = pipeline(task, model=folder, trust_remote_code=True, device="cpu")
        pipe.save_pretrained(str(Path(place, "pipeline", name)))
        pipe.model.save_pretrained(str(Path(place, "model and processor", name)))
        pipe.processor.save_pretrained(str(Path(place, "model and processor", name)))
        arguments = TrainingArguments(output_dir=str(Path(place, "scratch")), report_to=[], use_cpu=True)
        trainer = Trainer(pipe.model, arguments, processing_class=pipe.processor)
        trainer.save_model(str(Path(place, "trainer", name)))
"""
ANSWER = """
import json, sys
from transformers import pipeline

def answer(folder, task, record):
    # The task is not named where it is the main one of the folder.
    named = {} if task is None else {"task": task}
    pipe = pipeline(model=folder, trust_remote_code=True, device="cpu", **named)
    labels = {"candidate_labels": ["normal ECG", "Osborn waves"]} if "zero-shot" in pipe.task else {}
    answer = pipe(record, **labels)
    return {"module": type(pipe).__module__.split(".")[0], "task": pipe.task,
            "answer": answer.tolist() if hasattr(answer, "tolist") else answer}
"""
exec(SAVE)
exec(ANSWER)


def task_to_name(name):
    return "ecg-feature-extraction" if name == "features" else None


@pytest.fixture(scope="module")
def folders(model_folder, classifier_folder, reporter_folder, encoder_folder):
    found = {"classifier": classifier_folder, "reporter": reporter_folder, "encoder": encoder_folder}
    return {name: (task, str(found.get(name, model_folder))) for name, task in TASKS.items()}


@pytest.fixture(scope="module")
def record(simulated):
    return str(simulated / "records100" / "00000" / "00001_lr")


@pytest.fixture(scope="module")
def saved(folders, fresh_python, tmp_path_factory):
    """Each model saved in each way, by a process with the package and by one without it."""
    places = {saver: tmp_path_factory.mktemp("saved") for saver in SAVERS}
    save_all(folders, places["with the package"])  # noqa: F821
    code = "import sys; sys.modules['merit'] = None\n" + SAVE + "save_all(json.loads(sys.argv[1]), sys.argv[2])"
    fresh_python(code, json.dumps(folders), places["without the package"])
    return places


@pytest.fixture(scope="module")
def elsewhere(saved, record, fresh_python):
    """The answers of all saved folders in a process without the package."""
    jobs = [
        (str(Path(saved[saver], way, name)), task_to_name(name)) for saver in SAVERS for way in WAYS for name in TASKS
    ]
    code = "import sys; sys.modules['merit'] = None\n" + ANSWER
    code += "jobs = json.loads(sys.argv[1])\n"
    code += "print(json.dumps({folder: answer(folder, task, sys.argv[2]) for folder, task in jobs}))"
    return json.loads(fresh_python(code, json.dumps(jobs), record).splitlines()[-1])


def numbers(answer):
    if isinstance(answer, dict):
        return [number for key in sorted(answer) for number in numbers(answer[key])]
    if isinstance(answer, list):
        return [number for part in answer for number in numbers(part)]
    return [answer] if isinstance(answer, float) else []


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("saver", SAVERS)
def test_what_is_saved_in_a_usual_way_loads_as_a_pipeline(saver, way, name, saved, folders, record, elsewhere):
    folder = str(Path(saved[saver], way, name))
    task, original = folders[name]
    expected = answer(original, task, record)["answer"]  # noqa: F821
    here, there = answer(folder, task_to_name(name), record), elsewhere[folder]  # noqa: F821
    assert (here["module"], there["module"]) == ("merit", "transformers_modules")
    assert here["task"] == there["task"] == task
    assert numbers(here["answer"]) == pytest.approx(numbers(expected), abs=1e-5)
    assert numbers(there["answer"]) == pytest.approx(numbers(expected), abs=1e-5)
    assert len(numbers(expected)) > 1


def test_a_folder_with_the_package_needs_no_trust_in_its_code(saved, record):
    for name in TASKS:
        named = {"task": task} if (task := task_to_name(name)) else {}
        pipe = pipeline(model=str(Path(saved["with the package"], "trainer", name)), device="cpu", **named)
        assert type(pipe).__module__.startswith("merit.")


def test_a_subfolder_is_loaded_with_the_package(saved, record):
    place = str(Path(saved["with the package"], "pipeline"))
    assert type(AutoModel.from_pretrained(place, subfolder="encoder")).__name__ == "MeritEcgModel"
    model = AutoModelForSequenceClassification.from_pretrained(place, subfolder="classifier")
    assert type(model).__name__ == "MeritForEcgClassification"
