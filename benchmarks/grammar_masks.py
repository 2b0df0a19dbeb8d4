"""Grammar masks on JSON Schemas with labelled instances (JSONSchemaBench and the like): right or wrong, and how fast.

    python benchmarks/grammar_masks.py --schemas schemas.jsonl
    python benchmarks/grammar_masks.py --schemas schemas.jsonl --tokenizer Qwen/Qwen3-0.6B --systems chain

Each line of the file is one schema: ``{"id", "split", "schema", "tests": [{"valid", "data"}]}``. Instances are written
in the schema's order of properties, as ``json.dumps`` writes them. An instance is accepted if masks allow each of its
tokens and then the end of the text. A schema is *over*-constrained if a valid instance is refused, *under*-constrained
if an invalid one is accepted, *perfect* if it compiles and is neither. Each system runs in a process of its own on one
thread; a schema that takes longer than the limit counts as a compile error.

``perfect_rate`` is that of the chain that the engines use: strict, else lenient, then validation of the whole text;
``wrongly_accepted`` counts the invalid instances that pass it. The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.lark import lark_text
from decoding.grammars.llguidance_backend import LlguidanceBackend
from decoding.grammars.mask_words import is_allowed
from decoding.grammars.matcher import GrammarError, Matcher
from decoding.grammars.vocabulary import Vocabulary, shared_vocabulary
from decoding.models import load_tokenizer
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.json.order import in_schema_order

# Run by path, a script finds its neighbours in its own folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.measured_model import MODEL, quiet  # noqa: E402

CHAIN = "chain"
SYSTEMS = (CHAIN, "llguidance strict", "llguidance lenient", "xgrammar")


@dataclass(kw_only=True)
class Outcome:
    """What a system makes of one schema."""

    compile_ms: float | None = None
    """None: it does not compile."""
    over: int = 0
    """Valid instances that it refuses."""
    under: int = 0
    """Invalid instances that it accepts."""
    mask_us: list[float] = field(default_factory=list)
    """What the mask of each token took."""
    reason: str = ""
    """Why it does not compile, or what masks leave open."""


class System:
    """One way to compile schemas and to judge instances."""

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._is_chain = name == CHAIN
        self._is_lenient = name == "llguidance lenient"
        self._is_strict = name == "llguidance strict"
        self._vocabulary: Vocabulary = shared_vocabulary(tokenizer)
        backend = "xgrammar" if name == "xgrammar" else "llguidance"
        self._compiler = GrammarCompiler(tokenizer, backend=backend, capacity=1)

    def judge(self, case: dict[str, Any]) -> Outcome:
        """Compiles a schema and reads its instances."""
        grammar = Grammar(kind="json_schema", source=json.dumps(case["schema"]))
        outcome = Outcome()
        began = time.perf_counter()
        try:
            start, compiled = self._compile(grammar)
        except GrammarError as error:
            outcome.reason = str(error)
            return outcome
        outcome.compile_ms = 1e3 * (time.perf_counter() - began)
        for test in case["tests"]:
            text = json.dumps(in_schema_order(test["data"], case["schema"]), ensure_ascii=False)
            tokens = self._tokenizer.encode(text, add_special_tokens=False)
            is_accepted = self._allows(start.fork(), tokens, outcome.mask_us)
            if is_accepted and self._is_chain:
                is_accepted = compiled.validator is None or compiled.validator.is_valid(tokens)
            outcome.over += test["valid"] and not is_accepted
            outcome.under += is_accepted and not test["valid"]
        return outcome

    def _compile(self, grammar: Grammar) -> tuple[Matcher, Any]:
        if self._is_lenient or self._is_strict:
            text = lark_text(grammar, self._vocabulary, lenient=self._is_lenient)
            return LlguidanceBackend(self._vocabulary).start(text)[0], None
        compiled = self._compiler.compile(grammar)
        return compiled.start, compiled

    def _allows(self, matcher: Matcher, tokens: Sequence[int], took: list[float]) -> bool:
        for token in [*tokens, min(self._vocabulary.end_ids)]:
            began = time.perf_counter()
            words = matcher.mask()
            took.append(1e6 * (time.perf_counter() - began))
            if words is None or not is_allowed(words, token):
                return False
            matcher.consume([token])
        return True


def serve(connection: Connection, name: str, tokenizer: str) -> None:
    """Judges the schemas that come through a connection."""
    quiet()
    system = System(name, load_tokenizer(tokenizer))
    connection.send(None)
    while (case := connection.recv()) is not None:
        connection.send(system.judge(case))


class Worker:
    """A process with one system; a new one after a schema that took too long."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self._name, self._options = name, options
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._name, self._options.tokenizer), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def judge(self, case: dict[str, Any]) -> Outcome:
        """What the system makes of a schema within the limit."""
        self._connection.send(case)
        try:
            if self._connection.poll(self._options.limit):
                outcome: Outcome = self._connection.recv()
                return outcome
            reason = f"more than {self._options.limit:g} seconds"
        except EOFError:
            reason = "the process died"
        self._process.kill()
        self._process.join()
        self._start()
        return Outcome(reason=reason)

    def end(self) -> None:
        """Lets the process go."""
        self._connection.send(None)
        self._process.join()


def read_cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every n-th schema of the file.

    Raises:
        ConfigurationError: it does not exist, or is not of the form that the benchmark reads.
    """
    try:
        lines = Path(options.schemas).read_text().splitlines()
        cases = [json.loads(line) for line in lines[:: options.every]]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--schemas needs a file of JSON lines: {error}") from error
    if not cases or not all(isinstance(case, dict) and case.keys() >= {"schema", "tests"} for case in cases):
        raise ConfigurationError(f"--schemas {options.schemas}: each line needs 'schema' and 'tests'")
    return cases


def figures(outcomes: Sequence[Outcome]) -> dict[str, float | int]:
    """The counts and percentiles of one system."""
    compiled = [outcome for outcome in outcomes if outcome.compile_ms is not None]
    masks = [us for outcome in compiled for us in outcome.mask_us]
    return {
        "schemas": len(outcomes),
        "compile_errors": len(outcomes) - len(compiled),
        "perfect": sum(not outcome.over and not outcome.under for outcome in compiled),
        "over": sum(outcome.over > 0 for outcome in compiled),
        "under": sum(outcome.under > 0 for outcome in compiled),
        **dict(_percentiles("compile_ms", [outcome.compile_ms for outcome in compiled])),
        **dict(_percentiles("mask_us", masks)),
    }


def _percentiles(name: str, values: Sequence[float | None]) -> Iterator[tuple[str, float]]:
    for percent in (50, 99):
        yield f"{name}_p{percent}", round(float(np.percentile(np.array(values or [np.nan]), percent)), 2)


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs every system over all schemas."""
    cases = read_cases(options)
    result: dict[str, Any] = {"schemas_file": Path(options.schemas).name, "tokenizer": options.tokenizer}
    for name in options.systems:
        if name == "xgrammar" and find_spec("xgrammar") is None:
            print("xgrammar is not installed: left out", flush=True)
            continue
        worker = Worker(name, options)
        outcomes = [worker.judge(case) for case in cases]
        worker.end()
        found = figures(outcomes)
        print(name, json.dumps(found), flush=True)
        if options.verbose:
            for case, outcome in zip(cases, outcomes, strict=True):
                if outcome.compile_ms is None or outcome.over or outcome.under:
                    print(f"  {case.get('id')}: over {outcome.over} under {outcome.under} {outcome.reason}", flush=True)
        result[name.replace(" ", "_")] = found
        if name == CHAIN:
            result["perfect_rate"] = round(found["perfect"] / found["schemas"], 4)
            result["wrongly_accepted"] = sum(outcome.under for outcome in outcomes)
    return result


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", required=True, help="file of JSON lines")
    parser.add_argument("--tokenizer", default=MODEL, help="model reference (default: %(default)s)")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS, help="default: all")
    parser.add_argument("--every", type=int, default=1, help="only every n-th schema (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=20, help="seconds for one schema (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="also name each schema that is not perfect")
    options = parser.parse_args()
    if options.every < 1 or not options.limit > 0:
        parser.error("--every must be at least 1 and --limit positive")
    try:
        result = benchmark(options)
    except ConfigurationError as error:
        exit_with(error)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
