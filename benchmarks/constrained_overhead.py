"""What grammars cost while a model decodes: tokens per second with them and without, on the same prompts.

    python benchmarks/constrained_overhead.py
    python benchmarks/constrained_overhead.py --device cuda --dtype bfloat16 --model Qwen/Qwen3-0.6B

A batch of the bundled JSON tasks, one row each, is sampled at temperature 1 to the end of each answer, each row under
the JSON Schema of its own task. Then the same prompts are sampled freely, each row to the length that its answer had,
so that as many rows decode at each time: end-of-text is made impossible there. Tokens per second are those of all rows
over the whole call; a text that the budget cut off counts as all of the budget. ``overhead`` is the share of the
speed that is lost; it is below zero where forced tokens save more than masks cost. ``overhead_without_forced`` is
without them.

Beside ours, the processors that outlines and xgrammar have for transformers, under ``model.generate`` with the same
prompts and schemas. Their rows pad until the longest has ended, so each is compared with a free ``generate`` of as many
steps. A library that is not installed is null.

Grammars are compiled before the clock runs. All take turns; medians are reported. The last line is one JSON object.
"""

import argparse
import importlib.util
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import measured_model  # noqa: E402
from data.bundled_tasks import BundledJsonReader  # noqa: E402
from decoding.chat_prompt import prompt_ids  # noqa: E402
from decoding.engine import Request  # noqa: E402
from decoding.grammars.compiler import shared_compiler  # noqa: E402
from decoding.grammars.shortest import shortest_sentence  # noqa: E402
from decoding.models import ModelConfig, load_model, load_tokenizer  # noqa: E402
from decoding.transformers_engine import TransformersEngine, end_ids  # noqa: E402
from envs.configuration import exit_with  # noqa: E402
from envs.errors import ConfigurationError  # noqa: E402
from envs.grammar import Grammar  # noqa: E402
from envs.json.environment import JsonEnvironment  # noqa: E402
from envs.json.task import JsonTask  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all systems are run on."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompts: tuple[tuple[int, ...], ...]
    schemas: tuple[str, ...]
    longest: int
    """Tokens that an answer may have."""

    @property
    def ends(self) -> list[int]:
        """The tokens that end a text."""
        return sorted(end_ids(self.model, self.tokenizer))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one call made."""

    lengths: tuple[int, ...]
    """Tokens that were drawn for each row."""
    seconds: float

    @property
    def speed(self) -> float:
        """Tokens per second."""
        return sum(self.lengths) / self.seconds


@contextmanager
def never_ending(model: PreTrainedModel, ends: Sequence[int]) -> Iterator[None]:
    """No text of the model ends by itself."""

    def forbid(module: Any, inputs: Any, output: Any) -> None:
        output.logits[..., list(ends)] = -torch.inf

    handle = model.register_forward_hook(forbid)
    try:
        yield
    finally:
        handle.remove()


def timed(call: Callable[[], Sequence[int]]) -> Run:
    """A call that returns the lengths of its rows, and how long it took."""
    start = time.perf_counter()
    lengths = tuple(call())  # ends with the tokens on the CPU, so there is nothing left to wait for
    return Run(lengths=lengths, seconds=time.perf_counter() - start)


def ours(bench: Bench, seed: int, *, skips_forced: bool, lengths: Sequence[int] | None = None) -> Run:
    """Our engine; with ``lengths`` freely, and so far."""
    engine = TransformersEngine(
        bench.model, bench.tokenizer, max_batch_rows=len(bench.prompts), skips_forced=skips_forced
    )
    requests = [
        Request(
            prompt_ids=prompt,
            max_new_tokens=bench.longest if lengths is None else lengths[place],
            seed=seed,
            grammar=Grammar(kind="json_schema", source=schema) if lengths is None else None,
        )
        for place, (prompt, schema) in enumerate(zip(bench.prompts, bench.schemas, strict=True))
    ]

    def generate() -> list[int]:
        generations = engine.generate(requests)
        errors = {one.grammar_error for one in generations if one.grammar_error}
        if errors:
            raise ConfigurationError(f"a grammar was not applied: {sorted(errors)[0]}")
        return [bench.longest if one.finish == "length" and one.grammar else len(one.token_ids) for one in generations]

    if lengths is None:
        return timed(generate)
    with never_ending(bench.model, bench.ends):
        return timed(generate)


def warm_up(bench: Bench) -> None:
    """Compiles what our engine will look up, and lets the model run once."""
    compiler = shared_compiler(bench.tokenizer, end_ids=bench.ends)
    for schema in bench.schemas:
        shortest_sentence(compiler.compile(Grammar(kind="json_schema", source=schema)))
    ours(bench, 0, skips_forced=True, lengths=[2] * len(bench.prompts))


def generate(bench: Bench, processor: Any | None, steps: int | None = None) -> Run:
    """transformers' own loop; with ``steps`` freely, and so far."""
    width = max(map(len, bench.prompts))
    device = bench.model.device
    pad = bench.ends[0]
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in bench.prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in bench.prompts], device=device)

    def call() -> list[int]:
        made = bench.model.generate(
            ids, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=steps or bench.longest, pad_token_id=pad,
            logits_processor=[processor] if processor is not None else None,
        )[:, width:].tolist()  # fmt: skip
        ends = frozenset(bench.ends)
        return [next((place + 1 for place, token in enumerate(row) if token in ends), len(row)) for row in made]

    if steps is None:
        return timed(call)
    with never_ending(bench.model, bench.ends):
        return timed(call)


def xgrammar_processors(bench: Bench) -> Callable[[], Any] | None:
    """Makes the processor of xgrammar, which is used once; None where it is not installed."""
    if importlib.util.find_spec("xgrammar") is None:
        return None
    import xgrammar
    from xgrammar.contrib.hf import LogitsProcessor

    info = xgrammar.TokenizerInfo.from_huggingface(
        bench.tokenizer, vocab_size=bench.model.config.get_text_config().vocab_size, stop_token_ids=bench.ends
    )
    compiler = xgrammar.GrammarCompiler(info)
    compiled = [
        compiler.compile_json_schema(schema, any_whitespace=False, separators=(", ", ": ")) for schema in bench.schemas
    ]
    return lambda: LogitsProcessor(compiled)


def outlines_processors(bench: Bench) -> Callable[[], Any] | None:
    """Makes the processor of outlines, with a guide of each row's own schema; None where it is not installed."""
    if importlib.util.find_spec("outlines") is None:
        return None
    import outlines
    from outlines.backends.outlines_core import OutlinesCoreBackend, OutlinesCoreLogitsProcessor
    from outlines_core import Guide, Index
    from outlines_core.json_schema import build_regex_from_schema

    vocabulary = OutlinesCoreBackend(outlines.from_transformers(bench.model, bench.tokenizer)).vocabulary
    indexes = {
        schema: Index(build_regex_from_schema(schema, "[ ]?"), vocabulary) for schema in dict.fromkeys(bench.schemas)
    }

    class OneGuideARow(OutlinesCoreLogitsProcessor):
        """As it is, but that not all rows have the same schema."""

        def _setup(self, batch_size: int, vocab_size: int) -> None:
            super()._setup(batch_size, vocab_size)
            self._guides = [Guide(indexes[schema]) for schema in bench.schemas]

    return lambda: OneGuideARow(indexes[bench.schemas[0]], "torch")


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Lets all systems take turns."""
    bench = load(options)
    makers = {
        name: None if options.no_peers else processors(bench)
        for name, processors in (("outlines", outlines_processors), ("xgrammar", xgrammar_processors))
    }
    runs: dict[str, list[Run]] = {}

    def keep(name: str, run: Run) -> Run:
        runs.setdefault(name, []).append(run)
        print(f"{name}: {sum(run.lengths)} tokens in {run.seconds:.1f} s", flush=True)
        return run

    warm_up(bench)
    for turn in range(options.repeats):
        torch.manual_seed(turn)
        constrained = keep("constrained", ours(bench, turn, skips_forced=True))
        keep("free", ours(bench, turn, skips_forced=True, lengths=constrained.lengths))
        unforced = keep("unforced", ours(bench, turn, skips_forced=False))
        keep("unforced_free", ours(bench, turn, skips_forced=False, lengths=unforced.lengths))
        for name, make in makers.items():
            if make is not None:
                run = keep(name, generate(bench, make()))
                keep(f"{name}_free", generate(bench, None, steps=max(run.lengths)))

    def lost(name: str, free: str, of: Callable[[Run], float]) -> float:
        return round(
            statistics.median(1 - of(one) / of(two) for one, two in zip(runs[name], runs[free], strict=True)), 4
        )

    peers = {
        name: None
        if make is None
        else {
            "tok_s": round(statistics.median(run.speed for run in runs[name]), 1),
            "overhead": lost(name, f"{name}_free", lambda run: max(run.lengths) / run.seconds),
        }
        for name, make in makers.items()
    }
    return {
        "model": options.model,
        **{name: getattr(options, name) for name in ("batch", "max_new_tokens", "dtype", "repeats")},
        "free_tok_s": round(statistics.median(run.speed for run in runs["free"]), 1),
        "constrained_tok_s": round(statistics.median(run.speed for run in runs["constrained"]), 1),
        "overhead": lost("constrained", "free", lambda run: run.speed),
        "overhead_without_forced": lost("unforced", "unforced_free", lambda run: run.speed),
        **peers,
        "tokens": [sum(run.lengths) for run in runs["constrained"]],
        "hardware": measured_model.hardware(options.device),
    }


def load(options: argparse.Namespace) -> Bench:
    """The model, and the prompts and schemas of a batch of tasks, the same ones each time."""
    tokenizer = load_tokenizer(options.model)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device).eval()
    environment = JsonEnvironment(schema_style="compact")
    tasks = [task for task in BundledJsonReader().read("train").tasks if isinstance(task, JsonTask)]
    random.Random(0).shuffle(tasks)
    tasks = [tasks[place % len(tasks)] for place in range(options.batch)]
    return Bench(
        model=model,
        tokenizer=tokenizer,
        prompts=tuple(tuple(prompt_ids(tokenizer, environment, task)) for task in tasks),
        schemas=tuple(task.schema for task in tasks),
        longest=options.max_new_tokens,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measured_model.add_model_options(parser)
    parser.add_argument("--batch", type=int, default=32, help="rows (default: %(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=96, help="tokens of an answer (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    options = parser.parse_args(arguments)
    measured_model.require_options(parser, options, {"batch": 1, "max_new_tokens": 2, "repeats": 1})
    return options


if __name__ == "__main__":
    measured_model.quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
