"""Store a tiny checkpoint of the present layout, with what it answers, for tests/test_stored_checkpoints.py.

    python tests/stored_checkpoints/store.py tests/stored_checkpoints/layout-1

Run it once for each new `LAYOUT_VERSION`. A folder that is there stays as it is: it stands for all checkpoints of its
layout that others have.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from merit import (
    MeritConfig,
    MeritFeatureExtractor,
    MeritForEcgClassification,
    MeritForPreTraining,
    MeritModel,
    MeritProcessor,
)
from merit.training.text.tokenizer import train_tokenizer

REPORTS = ["sinus rhythm. normal ecg.", "sinusrhythmus. linkstyp.", "atrial fibrillation. left bundle branch block."]
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}


def recording() -> np.ndarray:
    """Eight seconds of twelve leads at 250 Hz in millivolts, `(leads, samples)`, by a formula that never changes."""
    seconds = np.arange(2000) / 250
    lead = np.arange(1, 13)[:, None]
    return np.sin(2 * np.pi * (1 + lead / 12) * seconds + lead) ** 5 + 0.05 * lead * np.cos(2 * np.pi * 7 * seconds)


def answers(folder: Path) -> dict[str, torch.Tensor]:
    """What the classes make of the recording and the reports when they load a stored folder."""
    processor = MeritProcessor.from_pretrained(folder)
    dual, model = MeritModel.from_pretrained(folder), MeritForPreTraining.from_pretrained(folder)
    head = MeritForEcgClassification.from_pretrained(folder / "head")
    settings: dict[str, Any] = {"sampling_rate": 250, "leads": model.config.ecg_config.lead_names, "units": "mV"}
    ecg = processor(ecg=recording(), **settings)
    batch = processor(ecg=[recording()] * len(REPORTS), text=REPORTS, **settings)
    patches = ecg["ecg_values"].shape[-1] // model.config.ecg_config.patch_length
    noise = torch.linspace(0, 1, len(REPORTS) * 12 * patches).reshape(len(REPORTS), 12, patches)
    with torch.inference_mode():
        trained = model(**batch, noise=noise)
        return {
            "ecg_values": ecg["ecg_values"],
            "input_ids": batch["input_ids"].float(),
            "ecg_features": dual.get_ecg_features(**ecg).pooler_output,
            "logits_per_ecg": dual(**batch).logits_per_ecg,
            "reconstruction": trained.reconstruction[:1].contiguous(),
            "classes": head(**ecg).logits,
        }


def store(folder: Path) -> None:
    tokenizer = train_tokenizer(REPORTS, vocab_size=300)
    vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    text = {**SMALL, **vocabulary, "max_position_embeddings": 48}
    decoder = {f"decoder_{name}": value for name, value in SMALL.items()}
    config = MeritConfig(ecg_config=SMALL, text_config=text, projection_dim=16, num_labels=3, **decoder)
    for kind, place in ((MeritForPreTraining, folder), (MeritForEcgClassification, folder / "head")):
        torch.manual_seed(0)
        model = kind(config)
        for name, parameter in model.named_parameters():
            # Norms and biases too: what is wrong anywhere shows in the answers.
            if name != "logit_scale":
                torch.nn.init.normal_(parameter, std=0.4)
        model.save_pretrained(place)
    MeritProcessor(MeritFeatureExtractor(), tokenizer).save_pretrained(folder)
    save_file(answers(folder), folder / "answers.safetensors")


if __name__ == "__main__":
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} exists: checkpoints of one layout are stored once.")
    store(Path(sys.argv[1]))
