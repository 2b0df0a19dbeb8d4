"""Tokens per second of our engine against transformers' own ``generate``, in one run.

    python benchmarks/engine.py --tasks 4 --samples 8 --new-tokens 64
    python benchmarks/engine.py --model Qwen/Qwen3-0.6B --device cuda --dtype bfloat16 --tasks 16 --samples 16

Both sample the same number of answers to the same prompts of the bundled JSON tasks, in one batch, at temperature 1,
with the same end-of-text tokens and the same most tokens an answer. Their repeats take turns and the medians are
reported. Counted are the tokens of answers, their end included; padding after it is not. Ours also records every
token's log-probability, and ``generate`` does not. The last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from data.bundled_tasks import BundledJsonReader
from decoding.chat_prompt import prompt_ids
from decoding.engine import Request
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment

# Run by path, a script finds its neighbours in its own folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.measured_model import add_model_options, hardware, quiet, require_options  # noqa: E402


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs both systems by turns and returns their median speeds."""
    tokenizer = load_tokenizer(options.model)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device).eval()
    tasks = BundledJsonReader().read("heldout").tasks[: options.tasks]
    prompts = [prompt_ids(tokenizer, JsonEnvironment(), task) for task in tasks]
    systems = {
        "transformers": transformers_system(model, tokenizer, prompts, options.samples, options.new_tokens),
        "ours": our_system(model, tokenizer, prompts, options.samples, options.new_tokens),
    }
    speeds: dict[str, list[float]] = {name: [] for name in systems}
    for repeat in range(options.repeats + 1):
        for name, run in systems.items():
            start = time.perf_counter()
            tokens = run(repeat)  # ends with the tokens on the CPU, so there is nothing left to wait for
            speed = tokens / (time.perf_counter() - start)
            print(f"{'warm-up' if repeat == 0 else f'repeat {repeat}'}: {name} {tokens} tokens, {speed:.1f} tok/s")
            if repeat > 0:
                speeds[name].append(speed)
    theirs, ours = statistics.median(speeds["transformers"]), statistics.median(speeds["ours"])
    return {
        "model": options.model,
        "prompts": len(prompts),
        "prompt_tokens": [min(map(len, prompts)), max(map(len, prompts))],
        "samples": options.samples,
        "new_tokens": options.new_tokens,
        "transformers_tok_s": round(theirs, 1),
        "ours_tok_s": round(ours, 1),
        "ratio": round(ours / theirs, 3),
        "hardware": hardware(options.device),
    }


def our_system(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], samples: int, new_tokens: int
) -> Callable[[int], int]:
    """One call of our engine over all prompts, as a function from the seed to the number of tokens it made."""
    engine = TransformersEngine(model, tokenizer, max_batch_rows=len(prompts) * samples)
    requests = [Request(prompt_ids=prompt, max_new_tokens=new_tokens, n=samples) for prompt in prompts]

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        return sum(len(generation.token_ids) for generation in engine.generate(requests))

    return run


def transformers_system(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], samples: int, new_tokens: int
) -> Callable[[int], int]:
    """One call of ``model.generate`` over all prompts, as a function from the seed to the number of tokens it made."""
    padded = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
    ends = sorted(end_ids(model, tokenizer))

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        # top_k 0: generate's own default of 50 samples from another distribution.
        output = model.generate(
            **padded, max_new_tokens=new_tokens, num_return_sequences=samples, do_sample=True, temperature=1.0, top_k=0,
            eos_token_id=ends, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        answers = output[:, padded["input_ids"].shape[1] :]
        is_end = torch.isin(answers, torch.tensor(ends, device=answers.device))
        after_end = is_end.cumsum(dim=1) - is_end.long() > 0  # (B, T)
        return int((~after_end).sum())

    return run


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.add_argument("--tasks", type=int, default=4, help="prompts (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=8, help="answers to each prompt (default: %(default)s)")
    parser.add_argument("--new-tokens", type=int, default=64, help="most tokens of an answer (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats of each system (default: %(default)s)")
    options = parser.parse_args(arguments)
    require_options(parser, options, {"tasks": 1, "samples": 1, "new_tokens": 1, "repeats": 1})
    return options


if __name__ == "__main__":
    quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
