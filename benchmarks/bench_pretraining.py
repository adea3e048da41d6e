"""Records per second of a pretraining step, compared with simpler implementations and with the hardware's limit.

    python benchmarks/bench_pretraining.py --recipe ptbxl-cpu [--data PTBXL] [--output results.json]

Each variant runs whole steps (forward, backward, clipping, AdamW) on the same batch of random signals and reports.
Variants alternate over several rounds; figures are medians over the rounds:

- recipe: as `merit pretrain` runs on this machine (precision, attention, compilation), encoding visible tokens only;
- compiled: the same with torch.compile, whatever the recipe says;
- mask-tokens: the same, but the encoder also processes mask tokens in place of the hidden ones;
- float32: visible tokens only, in float32 with the library's default attention and without compilation;
- straightforward: with mask tokens, in float32, default attention, without compilation.

The recipe's matrix multiplications per second (counted by torch, forward and backward) are compared with the rate of
multiplying matrices of the encoder's shapes alone, in the recipe's precision and in float32. Peak memory is measured in
a process of its own at two batch sizes; the largest possible batch is extrapolated from both. With --data, the rate of
the data loader is measured too, with the recipe's number of workers and without.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from merit import MeritForPreTraining
from merit.modeling_merit.modeling_merit import random_visibility, standardise_leads
from merit.training.batching.collator import SeededOrder, SeededRows, ecg_rows
from merit.training.batching.report_text import TEXTS, with_text
from merit.training.data.catalogue import load_data
from merit.training.learning.pretraining import build, collators
from merit.training.results.result_files import provenance, write_json
from merit.training.trainer.hardware import fast_attention, fast_device, fast_precision
from merit.training.trainer.recipe import TRAINING_DEFAULTS, PretrainingRecipe, load_recipe

DEVICE = fast_device().type
WAYS = ("recipe", "compiled", "mask-tokens", "float32", "straightforward")


class WithMaskTokens(MeritForPreTraining):
    """The usual implementation of masked modelling: the encoder processes a mask token for each hidden token."""

    def reconstruct(self, ecg_values, lead_mask=None, sample_mask=None, noise=None):
        patches, recorded = self.ecg_model.patchify(ecg_values, lead_mask, sample_mask)
        visible = random_visibility(recorded, self.config.time_mask_ratio, self.config.lead_mask_ratio, noise)
        tokens, positions, seen = self.ecg_model.embeddings(patches, visible)
        exists = recorded.flatten(1) if seen.shape[1] == recorded[0].numel() else recorded.any(1)
        tokens = torch.where(seen[..., None], tokens, torch.zeros_like(tokens))
        encoded = self.ecg_model.encoder(tokens, positions, exists)[-1]
        everything = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
        x_hat = self.decoder(encoded, exists, everything, recorded)
        return standardise_leads(patches.float(), recorded), x_hat, recorded & ~visible


def stepper(recipe: PretrainingRecipe, batch_size: int, way: str) -> Callable[[], torch.Tensor]:
    """A function that runs one training step of a variant."""
    torch.manual_seed(0)
    model, processor = build(recipe, ["sinus rhythm", "vorhofflimmern"])
    if way in ("mask-tokens", "straightforward"):
        model = WithMaskTokens(model.config)
    plain = way in ("float32", "straightforward")
    precision = nullcontext() if plain or not fast_precision()["bf16"] else torch.autocast(DEVICE, torch.bfloat16)
    model.set_attn_implementation("sdpa" if plain else fast_attention())
    model = model.to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=DEVICE == "cuda")
    is_compiled = way == "compiled" or (recipe.training.get("torch_compile") and not plain)
    forward: Any = torch.compile(model) if is_compiled else model
    config, tokenizer = model.config.ecg_config, processor.tokenizer
    seconds = recipe.crop_seconds or processor.feature_extractor.duration
    samples = round(seconds * config.sampling_rate)
    leads = len(config.lead_names)
    batch = {
        "ecg_values": torch.randn(batch_size, leads, samples),
        "lead_mask": torch.ones(batch_size, leads, dtype=torch.bool),
        "sample_mask": torch.ones(batch_size, samples, dtype=torch.bool),
        "noise": torch.rand(batch_size, leads, samples // config.patch_length),
        "input_ids": torch.randint(5, len(tokenizer), (batch_size, tokenizer.model_max_length)),
        "attention_mask": torch.ones(batch_size, tokenizer.model_max_length, dtype=torch.long),
    }
    batch = {name: tensor.to(DEVICE) for name, tensor in batch.items()}

    def step() -> torch.Tensor:
        with precision:
            loss = forward(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING_DEFAULTS["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def seconds_of(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def operations(recipe: PretrainingRecipe, batch_size: int) -> int:
    """Floating-point operations of the matrix multiplications of one step."""
    step = stepper(replace(recipe, training={**recipe.training, "torch_compile": False}), batch_size, "recipe")
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matrix_rate(recipe: PretrainingRecipe, batch_size: int, dtype: torch.dtype, repeats: int) -> float:
    """Operations per second of the encoder's four matrix multiplications alone; the best of some rounds."""
    model, processor = build(recipe, ["sinus rhythm"])
    config = model.config.ecg_config
    seconds = recipe.crop_seconds or processor.feature_extractor.duration
    rows = batch_size * int(seconds * config.sampling_rate) // config.patch_length
    hidden, wide = config.hidden_size, config.intermediate_size
    shapes = ((hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden))
    pairs = [
        (torch.randn(rows, i, device=DEVICE, dtype=dtype), torch.randn(i, o, device=DEVICE, dtype=dtype))
        for i, o in shapes
    ]

    def multiply() -> None:
        for a, b in pairs:
            torch.matmul(a, b)

    multiply()
    return sum(2 * rows * i * o for i, o in shapes) / min(seconds_of(multiply) for _ in range(repeats))


def peak_memory(recipe: PretrainingRecipe, batch_size: int) -> int:
    """Peak memory in bytes: of tensors on a GPU, else of the whole process."""
    step = stepper(recipe, batch_size, "recipe")
    for _ in range(3):
        step()
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated()
    # getrusage would include the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def loader_rates(recipe: PretrainingRecipe, batch_size: int, data: Path, batches: int) -> dict[str, float]:
    """Records per second of the data loader, with the recipe's number of workers and without workers."""
    columns = TEXTS[recipe.text]
    train = with_text(load_data(data)["train"], columns[-1])
    model, processor = build(recipe, [text for column in columns for text in train[column]])
    rows = SeededRows(ecg_rows(train, *columns), seed=0)
    collate = collators(recipe, processor, model.config.ecg_config.patch_length)["train"]
    rates = {}
    for workers in sorted({0, recipe.training.get("dataloader_num_workers", 0)}):
        loader = torch.utils.data.DataLoader(
            rows, batch_size, sampler=SeededOrder(rows), num_workers=workers, collate_fn=collate, drop_last=True
        )
        iterator = iter(loader)
        next(iterator)
        start, count = time.perf_counter(), 0
        for _, batch in zip(range(batches), iterator):
            count += len(batch["ecg_values"])
        rates[f"{workers} workers"] = count / (time.perf_counter() - start)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="ptbxl-cpu")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--data", type=Path, help="prepared data set or PTB-XL's folder, for the loader's rate")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument(
        "--memory", type=float, help="memory limit in GiB for the largest batch (default: 24, on a GPU 80)"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.overrides)
    size = args.batch_size or recipe.training["per_device_train_batch_size"]

    steps = {way: stepper(recipe, size, way) for way in args.ways}
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    for repeat in range(args.repeats + 2):
        for way, step in steps.items():
            taken = seconds_of(step)
            if repeat > 1:  # the first two rounds compile and warm up
                seconds[way].append(taken)
    rates = {way: size / statistics.median(taken) for way, taken in seconds.items()}
    results: dict[str, Any] = {"records_per_second": rates, "seconds": seconds, "batch_size": size}
    for way, rate in rates.items():
        print(f"{way:>16} {rate:9.1f} records/s")
    del steps
    if "recipe" in rates:
        per_second = operations(recipe, size) * rates["recipe"] / size
        dtypes = {"bfloat16": torch.bfloat16, "float32": torch.float32}
        multiplied = {name: matrix_rate(recipe, size, dtype, args.repeats) for name, dtype in dtypes.items()}
        results |= {"operations_per_second": per_second, "matrix_operations_per_second": multiplied}
        for name, rate in multiplied.items():
            print(f"{per_second / 1e9:9.1f} GFLOP/s are {per_second / rate:.0%} of {rate / 1e9:.1f} in {name}")
    limit = args.memory or (80 if DEVICE == "cuda" else 24)
    sizes = (size, 2 * size)
    # A new process for each size, since the peak of a process never falls.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        small, large = pool.starmap(peak_memory, [(recipe, one) for one in sizes], chunksize=1)
    each = max(large - small, 1) / size
    largest = int((limit * 2**30 - small) / each) + size
    results |= {"peak_bytes": dict(zip(map(str, sizes), (small, large))), "largest_batch": {f"{limit:g} GiB": largest}}
    print(f"{small / 2**30:.2f} GiB at {size}, {large / 2**30:.2f} GiB at {2 * size}: {largest} in {limit:g} GiB")
    if args.data:
        results["loader_records_per_second"] = loader_rates(recipe, size, args.data, args.repeats * 4)
        for name, rate in results["loader_records_per_second"].items():
            print(f"{rate:9.1f} records/s from the loader, {name}")
    if args.output:
        write_json(args.output, {**provenance(), "recipe": args.recipe, "device": DEVICE, "results": results})


if __name__ == "__main__":
    main()
