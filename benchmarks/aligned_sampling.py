"""How near samplers come to the model's own distribution given a grammar, and what a sample costs.

    python benchmarks/aligned_sampling.py
    python benchmarks/aligned_sampling.py --samples 2000 --particles 20

Two grammars whose texts can all be listed (after those of Park et al. 2024: binary strings that the grammar lets begin
with 0 in one way only, so that masks lead there and leave the model with what it would not have written). The target
P_L(y) = p(y) 1[y in L] / p(L) is computed by the model itself, text by text. Each sampler draws ``--samples`` texts,
``--repeats`` times with seeds of its own; the mean of KL(empirical || P_L) is reported, beside ``kl_floor``, what the
target's own samples have on average. ASAp and CARS learn from text to text; each repeat begins anew.

A call of the model is one next-token distribution that a sampler asked for, texts that were given up included. The
prefixes are so few that the forwards themselves are remembered; what is counted does not depend on it. The last line is
one JSON object; ``gcd_over_cars`` and ``gcd_over_smc`` are the lower of the two grammars' ratios of KL.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from decoding.aligned.config import AlignedSampling
from decoding.aligned.masking import masked_log_p
from decoding.aligned.sample import sample
from decoding.engine import Request
from decoding.grammars.compiler import GrammarCompiler, shared_compiler
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.transformers_engine import end_ids
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.grammar import Grammar

# Run by path, a script finds its neighbours in its own folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.measured_model import add_model_options, hardware, quiet, require_options  # noqa: E402
from benchmarks.prefix_engine import PrefixEngine  # noqa: E402

GRAMMARS = {
    "three": (3, Grammar(kind="regex", source="000|1[01][01]")),
    "five": (5, Grammar(kind="regex", source="00000|1[01][01][01][01]")),
}
INSTRUCTION = "Generate a random binary string of length {length}. Directly show the generated string, nothing else."

Text = tuple[int, ...]


@dataclass
class RememberingModel:
    """The logits after each prefix that was asked for."""

    model: Any
    known: dict[Text, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def logits(self, ids: Text) -> Tensor:
        """(V,) after these tokens."""
        if ids not in self.known:
            inputs = torch.tensor([ids], device=self.model.device)
            self.known[ids] = self.model(input_ids=inputs, logits_to_keep=1).logits[0, -1].float().cpu()
        return self.known[ids]


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """All samplers on all grammars."""
    config = ModelConfig(reference=options.model, dtype=options.dtype)
    model, tokenizer = load_model(config).to(options.device).eval(), load_tokenizer(options.model)
    ends = end_ids(model, tokenizer)
    compiler = shared_compiler(tokenizer, end_ids=ends)
    engine = PrefixEngine(RememberingModel(model).logits, lambda grammar: compiler.compile(grammar).matcher(), ends)
    results: dict[str, Any] = {"model": options.model, "samples": options.samples, "repeats": options.repeats}
    for name, (length, grammar) in GRAMMARS.items():
        messages = [{"role": "user", "content": INSTRUCTION.format(length=length)}]
        prompt = tuple(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        results[name] = measure(engine, compiler, ends, prompt, grammar, options)
        print(json.dumps({name: results[name]}), flush=True)
    for method in ("cars", f"smc_{options.particles}"):
        ratios = [results[name]["gcd"]["kl"] / results[name][method]["kl"] for name in GRAMMARS]
        results[f"gcd_over_{method.partition('_')[0]}"] = round(min(ratios), 1)
    return {**results, "hardware": hardware(options.device)}


def measure(
    engine: PrefixEngine,
    compiler: GrammarCompiler,
    ends: frozenset[int],
    prompt: Text,
    grammar: Grammar,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """All samplers on one grammar."""
    logits = engine.logits
    target = list_texts(logits, compiler, ends, prompt, grammar)
    total = sum(target.values())
    ideal = {text: mass / total for text, mass in target.items()}
    result: dict[str, Any] = {
        "strings": len(target),
        "p_language": float(f"{total:.3g}"),
        "kl_floor": round(floor(ideal, options.samples), 4),
    }
    for method in ("gcd", "asap", "cars", "sir", "smc"):
        config = AlignedSampling(method=method, particles=options.particles, tries=100_000)
        name = f"{method}_{options.particles}" if method in ("sir", "smc") else method
        kls, calls, tries = [], 0, 0
        for repeat in range(options.repeats):
            request = Request(
                prompt_ids=prompt, max_new_tokens=16, grammar=grammar, n=options.samples, seed=options.seed + repeat
            )
            rows = max(64, options.particles) if method == "smc" else 1
            answers = sample(engine, [request], config, max_batch_rows=rows)[0]
            kls.append(divergence([one.token_ids for one in answers.generations], ideal))
            calls += answers.model_calls
            tries += answers.tries
        drawn = options.samples * options.repeats
        result[name] = {
            "kl": float(f"{np.mean(kls):.3g}"),
            "calls_per_sample": round(calls / drawn, 2),
            "texts_per_sample": round(tries / drawn, 2),
        }
        print(f"{grammar.source}: {name}: {result[name]}", flush=True)
    return result


def list_texts(
    logits: Any, compiler: GrammarCompiler, ends: frozenset[int], prompt: Text, grammar: Grammar
) -> dict[Text, float]:
    """p of every token sequence that the masks allow, its end included."""
    found: dict[Text, float] = {}
    todo: list[tuple[Text, float]] = [((), 0.0)]
    while todo:
        text, log_p = todo.pop()
        matcher = compiler.compile(grammar).matcher()
        matcher.consume(text)
        _, after = masked_log_p(logits((*prompt, *text)).double().log_softmax(dim=0), matcher)
        for token in np.flatnonzero(after > -np.inf).tolist():
            longer = ((*text, token), log_p + float(after[token]))
            if token in ends:
                found[longer[0]] = math.exp(longer[1])
            else:
                todo.append(longer)
    return found


def divergence(texts: Sequence[Text], target: dict[Text, float]) -> float:
    """KL(empirical || target) in nats."""
    return sum(
        count / len(texts) * math.log(count / len(texts) / target[text]) for text, count in Counter(texts).items()
    )


def floor(target: dict[Text, float], samples: int) -> float:
    """The mean KL of the target's own samples, over 200 draws."""
    random = Random(0)
    texts, weights = list(target), list(target.values())
    return float(np.mean([divergence(random.choices(texts, weights, k=samples), target) for _ in range(200)]))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.add_argument("--samples", type=int, default=400, help="texts of a run (default: %(default)s)")
    parser.add_argument("--particles", type=int, default=10, help="of SIR and SMC (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs whose KL is averaged (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default: %(default)s)")
    options = parser.parse_args(arguments)
    require_options(parser, options, {"samples": 1, "particles": 1, "repeats": 1, "seed": 0})
    return options


if __name__ == "__main__":
    quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
