"""What tests of models, pipelines and commands share: a simulated data set and tiny untrained models, made once."""

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported; no test asks the network

TINY = [
    *(
        f"model.{encoder}_config.{field}"
        for encoder in ("ecg", "text")
        for field in ("hidden_size=32", "num_hidden_layers=1", "intermediate_size=64")
    ),
    *("model.projection_dim=32", "model.decoder_hidden_size=32", "model.decoder_intermediate_size=64"),
    *("training.bf16=false", "training.num_train_epochs=2", "training.per_device_train_batch_size=16"),
    *("training.disable_tqdm=true", "training.logging_steps=2"),
]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The models of these tests are too small for more, and tests run side by side."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_settings():
    """Overrides of a recipe for a model that trains in a second."""
    return TINY


@pytest.fixture(scope="session")
def ptbxl_root():
    """The folder of PTB-XL that the environment variable PTBXL_ROOT names; tests that use it are skipped without."""
    root = Path(os.environ.get("PTBXL_ROOT", "/nonexistent"))
    if not (root / "ptbxl_database.csv").is_file():
        pytest.skip("the environment variable PTBXL_ROOT does not name the folder of PTB-XL")
    return root


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A tree of 120 simulated recordings."""
    from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl

    return write_simulated_ptbxl(tmp_path_factory.mktemp("tree") / "simulated", 120, seed=0, progress=False)


@pytest.fixture(scope="session")
def dataset(simulated, tmp_path_factory):
    from merit.training.data.catalogue import load_ptbxl

    return load_ptbxl(simulated, cache_dir=tmp_path_factory.mktemp("arrow"))


@pytest.fixture(scope="session")
def untrained(dataset):
    """A tiny `MeritForPreTraining` with random weights, and its processor."""
    import torch

    from merit.training.learning.pretraining import build
    from merit.training.trainer.recipe import load_recipe

    torch.manual_seed(0)
    model, processor = build(load_recipe("demo", TINY), dataset["train"]["report"])
    return model.eval(), processor


@pytest.fixture(scope="session")
def model_folder(untrained, tmp_path_factory):
    from merit.hub_cards.export import export

    return export(*untrained, tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="session")
def classifier_folder(untrained, model_folder, tmp_path_factory):
    """A multi-label classifier on top of the untrained model, its head far from zero."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from merit.hub_cards.export import export

    names = ["CD", "HYP", "MI", "NORM", "STTC"]
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder, num_labels=5, problem_type="multi_label_classification", id2label=dict(enumerate(names))
    )
    torch.nn.init.normal_(model.classifier.weight)
    return export(model, untrained[1], tmp_path_factory.mktemp("exported") / "classifier")


@pytest.fixture(scope="session")
def encoder_folder(untrained, tmp_path_factory):
    """The ECG encoder of the untrained model alone."""
    from merit.hub_cards.export import export

    return export(*untrained, tmp_path_factory.mktemp("exported") / "encoder", encoder_only=True)


@pytest.fixture(scope="session")
def untrained_reporter(untrained, dataset):
    """A tiny model that reports, with weights so large that its texts differ, and its processor."""
    import torch

    from merit import MeritModel
    from merit.training.learning.report_generation import ReportRows, build
    from merit.training.trainer.recipe import ReportRecipe

    recipe = ReportRecipe(
        model={
            "text_config": {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 48,
            },
            "num_ecg_tokens": 4,
        },
        tokenizer={"vocab_size": 400},
    )
    merit = MeritModel(untrained[0].config)
    merit.load_state_dict({name: value for name, value in untrained[0].state_dict().items() if "decoder." not in name})
    torch.manual_seed(0)
    # A tokenizer remembers how it was last used, and would be written otherwise.
    own = deepcopy(untrained[1])
    model, processor = build(merit, own, recipe, ReportRows(dataset["train"], ["en", "de"]).texts())
    with torch.no_grad():
        for parameter in (*model.connector.parameters(), *model.language_model.parameters()):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval(), processor


@pytest.fixture(scope="session")
def reporter_folder(untrained_reporter, tmp_path_factory):
    from merit.hub_cards.export import export

    return export(*untrained_reporter, tmp_path_factory.mktemp("exported") / "reporter")


@pytest.fixture(scope="session")
def fresh_environment(tmp_path_factory):
    """Environment of a process that has no network, no caches but its own, and one core."""
    home = str(tmp_path_factory.mktemp("home"))
    own = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": home}
    return {**os.environ, **own, "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="session")
def fresh_python(fresh_environment, tmp_path_factory):
    """Run Python code in a fresh process, elsewhere, and return what it printed; keywords are its environment."""

    def run(code, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env={**fresh_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def run_merit(fresh_environment):
    """Run the command in a fresh process; returns its output, or with `status=1` its error; keywords: environment."""

    def run(*arguments, status=0, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "merit", *map(str, arguments)],
            env={**fresh_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status else done.stdout

    return run


@pytest.fixture
def hub():
    """A Hub of its own for each test."""
    from loopback_hub import LoopbackHub

    with LoopbackHub() as running:
        yield running
