"""Forward and backward of a micro-batch through its prefix tree against TRL's own rows, in one run.

    python benchmarks/prefix_tree.py --prompt 512 --completion 64 --group 8
    python benchmarks/prefix_tree.py --model Qwen/Qwen3-0.6B --device cuda --dtype bfloat16 \
        --prompt 2048 --completion 256 --group 16

A micro-batch is one group: random tokens, one prompt, completions that share nothing after it. TRL's side is stock: a
`GRPOTrainer` and its own `_get_per_token_logps_and_entropies`, all rows at once. The loss is a fixed random weighting
of log-probabilities, as a policy gradient is. After a small warm-up both take turns and the medians are reported. Peak
memory is what one pass of each adds to the loaded model, gradients included: on CUDA by torch's allocator, elsewhere
the peak resident memory of a process of its own. A fourth and half of the group, and of the prompt, are measured once
each, unless `--no-sweep` is given. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from decoding.models import ModelConfig, load_model, load_tokenizer
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from train.tree_scorer import PrefixTreeScorer

# Run by path, a script finds its neighbours in its own folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.measured_model import add_model_options, hardware, quiet, require_options  # noqa: E402

PARTS = (4, 2)
"""The group and the prompt are also measured at a fourth and at half of their size."""
NAMES = ("trl", "ours")

System = Callable[["Batch"], torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor, int, torch.Tensor]
"""Token ids, attention mask, completion length, and the weight of each log-probability in the loss."""


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs both systems by turns and returns what each took."""
    is_cuda = options.device.startswith("cuda")
    # Before this process holds a model of its own.
    peaks = {} if is_cuda else {name: apart(resident_peak_mib, options, name) for name in NAMES}
    trainer, systems = build(options)
    model: torch.nn.Module = trainer.model
    vocabulary = model.config.get_text_config().vocab_size
    batch = micro_batch(vocabulary, **lengths(options), device=options.device)
    for system in systems.values():
        step(system, micro_batch(vocabulary, 16, 16, 2, options.device))
    times = compare(model, systems, batch, options.repeats)
    if is_cuda:
        peaks = {name: allocated_peak_mib(model, system, batch) for name, system in systems.items()}
    result = {
        "model": options.model,
        **lengths(options),
        "dtype": options.dtype,
        **times,
        **{f"peak_mib_{name}": peak for name, peak in peaks.items()},
    }
    for key in ("group", "prompt") if options.sweep else ():
        whole = getattr(options, key)
        # Smaller ones only: whoever asks for a size knows that it fits.
        sizes = sorted({whole // part for part in PARTS if whole // part > 0})
        others = [
            (size, micro_batch(vocabulary, **{**lengths(options), key: size}, device=options.device)) for size in sizes
        ]
        smaller = [{key: size, **compare(model, systems, other, 1)} for size, other in others]
        result[f"by_{key}"] = [*smaller, {key: whole, **times}]
    return {**result, "hardware": hardware(options.device)}


def compare(model: torch.nn.Module, systems: dict[str, System], batch: Batch, repeats: int) -> dict[str, Any]:
    """Median seconds of each system and how far their results are apart."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    logps: dict[str, torch.Tensor] = {}
    gradients: dict[str, list[torch.Tensor]] = {}
    for repeat in range(repeats):
        for name, system in systems.items():
            model.zero_grad(set_to_none=True)
            start = time.perf_counter()
            logps[name] = step(system, batch)
            took = time.perf_counter() - start
            print(f"{'x'.join(map(str, batch[0].shape))} tokens, {name}: {took:.2f} s", flush=True)
            seconds[name].append(took)
            if repeat == repeats - 1:
                gradients[name] = [p.grad for p in model.parameters() if p.grad is not None]
    trl, ours = statistics.median(seconds["trl"]), statistics.median(seconds["ours"])
    pairs = list(zip(gradients["trl"], gradients["ours"], strict=True))
    distance = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)
    norm = sum(float(a.double().square().sum()) for a, _ in pairs)
    model.zero_grad(set_to_none=True)
    return {
        "trl_s": round(trl, 3),
        "ours_s": round(ours, 3),
        "ratio": round(trl / ours, 3),
        "logp_max_diff": float(f"{(logps['trl'] - logps['ours']).abs().max():.3g}"),
        "grad_rel_diff": float(f"{(distance / norm) ** 0.5:.3g}"),
    }


def step(system: System, batch: Batch) -> torch.Tensor:
    """Forward and backward; the log-probabilities. Ends when the device has."""
    logps = system(batch)
    (logps * batch[3]).sum().backward()
    if logps.is_cuda:
        torch.cuda.synchronize(logps.device)
    return logps.detach().float()


def build(options: argparse.Namespace) -> tuple[GRPOTrainer, dict[str, System]]:
    """A stock trainer around the model, and both ways to score a micro-batch with it."""
    tokenizer = load_tokenizer(options.model)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device).train()
    with tempfile.TemporaryDirectory() as directory:
        config = GRPOConfig(
            output_dir=directory, report_to="none", bf16=False, use_cpu=options.device == "cpu",
            gradient_checkpointing=False, per_device_train_batch_size=8, num_generations=8,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **columns: [0.0] * len(completions),
            args=config,
            train_dataset=Dataset.from_list([{"prompt": "-"}]),
            processing_class=tokenizer,
        )
    scorer = PrefixTreeScorer(trainer.accelerator.autocast)
    rows = trainer._get_per_token_logps_and_entropies

    def trl(batch: Batch) -> torch.Tensor:
        return rows(trainer.model, *batch[:3], compute_entropy=True)[0]

    def ours(batch: Batch) -> torch.Tensor:
        return scorer.score(rows, trainer.model, *batch[:3], compute_entropy=True)[0]

    reason = scorer.reason(rows, trainer.model, torch.device(options.device))
    if reason is not None:
        raise ConfigurationError(f"model {options.model!r} cannot be measured: {reason}")
    return trainer, {"trl": trl, "ours": ours}


def micro_batch(vocabulary: int, prompt: int, completion: int, group: int, device: str) -> Batch:
    """One group of random rows, none of them padded."""
    random = torch.Generator().manual_seed(0)
    prompts = torch.randint(0, vocabulary, (1, prompt), generator=random).expand(group, -1)
    completions = torch.randint(0, vocabulary, (group, completion), generator=random)
    ids = torch.cat([prompts, completions], dim=1).to(device)
    weights = torch.randn((group, completion), generator=random).to(device) / (group * completion)
    return ids, torch.ones_like(ids), completion, weights


def lengths(options: argparse.Namespace) -> dict[str, int]:
    """The sizes of the micro-batch that was asked for."""
    return {"prompt": options.prompt, "completion": options.completion, "group": options.group}


def allocated_peak_mib(model: torch.nn.Module, system: System, batch: Batch) -> int:
    """MiB that one pass adds to the loaded model on a CUDA device."""
    model.zero_grad(set_to_none=True)
    torch.cuda.reset_peak_memory_stats(batch[0].device)
    before = torch.cuda.memory_allocated(batch[0].device)
    step(system, batch)
    return (torch.cuda.max_memory_allocated(batch[0].device) - before) >> 20


def apart(function: Callable[..., int], *arguments: Any) -> int:
    """What a function returns in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def resident_peak_mib(options: argparse.Namespace, name: str) -> int:
    """MiB that the first pass of a process adds to the loaded model, by Linux' count of resident memory."""
    quiet()
    trainer, systems = build(options)
    vocabulary = trainer.model.config.get_text_config().vocab_size
    batch = micro_batch(vocabulary, **lengths(options), device=options.device)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of loading
    before = resident_kib("VmRSS")
    step(systems[name], batch)
    return (resident_kib("VmHWM") - before) >> 10


def resident_kib(field: str) -> int:
    """A line of this process's memory account: VmRSS now, VmHWM at most."""
    account = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in account.splitlines() if line.startswith(field))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=64, help="tokens of a completion (default: %(default)s)")
    parser.add_argument("--group", type=int, default=8, help="completions of the prompt (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats of each system (default: %(default)s)")
    parser.add_argument(
        "--sweep", action=argparse.BooleanOptionalAction, default=True, help="also measure other groups and prompts"
    )
    options = parser.parse_args(arguments)
    require_options(parser, options, {"prompt": 1, "completion": 1, "group": 1, "repeats": 1})
    return options


if __name__ == "__main__":
    quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
