"""The SQL grammar with the names of the task's own schema: which golds it accepts, and whether what is drawn under its
mask is refused by SQLite.

Every gold of Spider's train and dev splits is read at once with the model's tokenizer, and a sample of them token by
token; one of these counts as accepted when no token of it is masked and it may end. Then queries are drawn under the
mask, and each is given to SQLite's EXPLAIN on its real database. Two writers draw them: a random one, to which all
words, marks and quotes are about as likely as each other, which comes into corners that no model visits; and a model at
temperature 1. Both have a budget of tokens; the random writer's cut queries are closed by the short end that the
narrowing knows, the model's by the engine. Counted as open: no end was found; as stuck: no token was allowed.

The last line is one JSON object; mask_us is the time of one mask, back end and narrowing together.
"""

import argparse
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from benchmarks.measured_model import add_model_options, quiet, require_options
from data.bundled_tasks import BundledSqlReader
from decoding.chat_prompt import prompt_ids
from decoding.engine import Request
from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.mask_words import allowed_tokens
from decoding.grammars.matcher import Matcher
from decoding.grammars.narrowed import NarrowedMatcher
from decoding.grammars.vocabulary import shared_vocabulary
from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.token_text import encode_text
from decoding.transformers_engine import TransformersEngine
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.grammar import make_grammar
from envs.sql.task import SqlTask

UNKNOWN_NAMES = ("no such column", "no such table", "ambiguous column name", "no such function")


def spider_tasks(home: Path, split: str) -> list[SqlTask]:
    """The rows of a split as tasks."""
    tasks = []
    for number, row in enumerate(json.loads((home / f"{split}.json").read_text())):
        name = row["db_id"]
        path = home / "database" / name / f"{name}.sqlite"
        tasks.append(
            SqlTask(
                id=f"{split}-{number}", question=row["question"], database=Database.at(path), gold=row["query"].strip()
            )
        )
    return tasks


class Timed:
    """A matcher's masks, and how long they took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def mask(self, matcher: Matcher) -> np.ndarray:
        """The tokens that may come next."""
        start = time.perf_counter()
        words = matcher.mask()
        self.seconds.append(time.perf_counter() - start)
        if words is None:
            raise RuntimeError(f"the matcher is in error: {matcher.error}")
        return words


class RandomWriter:
    """Draws among kinds of tokens first, by how they begin, and among the tokens of one kind then."""

    def __init__(self, spellings: Sequence[bytes], end_ids: frozenset[int]) -> None:
        self._spellings = spellings
        self._end_ids = end_ids
        kinds: dict[bytes, int] = {}
        firsts = [text.strip().lower() for text in spellings]
        self._kinds = np.array([kinds.setdefault(text[:1], len(kinds)) for text in firsts])
        marks = {b",", b"(", b")", b"*", b".", b"select", b"from", b"where", b"group", b"order", b"join", b"using"}
        marks |= {b"as", b"on", b"union", b"natural", b"having", b"in", b"exists", b"case", b"over", b"and", b"limit"}
        self._is_mark = np.array([text in marks for text in firsts])
        self._closes = np.array([text in {b")", b"'", b'"', b"end", b"]", b"`"} for text in firsts])

    def write(self, compiled: CompiledGrammar, timed: Timed, rng: random.Random, budget: int) -> tuple[bytes, str]:
        """A query; and how it ended: whole, closed (after the budget), open (no end was found), stuck (nothing was
        allowed)."""
        matcher = compiled.matcher()
        text = b""
        haste = rng.random()
        for _ in range(budget):
            tokens = allowed_tokens(timed.mask(matcher))
            if not len(tokens):
                return text, "stuck"
            is_end = np.isin(tokens, list(self._end_ids))
            if is_end.any() and (is_end.all() or rng.random() < 0.15):
                return text, "whole"
            token = self._draw(tokens[~is_end], rng, haste)
            matcher.consume([token])
            text += self._spellings[token]
        end = matcher.ending() if isinstance(matcher, NarrowedMatcher) else None
        if end is None:
            return text, "open"
        matcher.consume(compiled.vocabulary.encode_bytes(end))
        return text + end, "closed" if matcher.is_accepting else "open"

    def _draw(self, tokens: np.ndarray, rng: random.Random, haste: float) -> int:
        closing_tokens = tokens[self._closes[tokens]]
        if len(closing_tokens) and rng.random() < 0.15 + 0.5 * haste:
            return int(rng.choice(closing_tokens))
        marks = tokens[self._is_mark[tokens]]
        choice = rng.random()
        if len(marks) and choice < 0.4:
            return int(rng.choice(marks))
        if choice < 0.9:
            kinds = self._kinds[tokens]
            tokens = tokens[kinds == rng.choice(np.unique(kinds))]
        return int(rng.choice(tokens))


def explained(database: Database, query: str) -> str | None:
    """What SQLite says against a query; None: nothing."""
    with closing(sqlite3.connect(f"{Path(database.location).absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            connection.execute(f"EXPLAIN {query}").fetchone()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            return str(error)
    return None


class Findings:
    """Counts of what was drawn and what SQLite refused."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def judge(self, database: Database, query: str, ending: str) -> None:
        """Counts one query."""
        self.counts[ending] += 1
        if ending in ("stuck", "open"):
            print(json.dumps({"database": database.name, ending: query}))
            return
        self.counts["sampled"] += 1
        error = explained(database, query)
        if error is None:
            return
        kind = "unknown_names" if error.startswith(UNKNOWN_NAMES) else "parse_errors"
        self.counts[kind] += 1
        print(json.dumps({"database": database.name, "error": error, "query": query}))


def accepted_at_once(golds: Sequence[SqlTask], compiler: GrammarCompiler, encode: "Encode") -> Iterator[bool]:
    """Whether each gold is a sentence, without asking for the masks on its way."""
    for task in golds:
        matcher = compiler.compile(make_grammar(task.database)).matcher()
        matcher.consume(encode(task.gold))
        yield matcher.is_accepting


def accepted(golds: Sequence[SqlTask], compiler: GrammarCompiler, encode: "Encode") -> Iterator[bool]:
    """Whether each gold can be written token by token."""
    known: dict[tuple[str, str], bool] = {}
    for task in golds:
        key = (task.database.location, task.gold)
        if key not in known:
            known[key] = _accepts(compiler, task, encode(task.gold))
            if not known[key]:
                print(json.dumps({"database": task.database.name, "refused": task.gold}))
        yield known[key]


def _accepts(compiler: GrammarCompiler, task: SqlTask, tokens: Sequence[int]) -> bool:
    matcher = compiler.compile(make_grammar(task.database)).matcher()
    for token in tokens:
        words = matcher.mask()
        if words is None or not words[token // 32] >> (token % 32) & 1:
            return False
        matcher.consume([token])
    return matcher.is_accepting


class Encode:
    """Text to the tokens that the tokenizer itself writes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return encode_text(self._tokenizer, text)


def main() -> None:
    """Measures, and prints one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spider", type=Path, required=True, help="folder with train_spider.json, dev.json, database/")
    parser.add_argument(
        "--golds", type=int, default=150, help="golds read token by token; 0 for all (default: %(default)s)"
    )
    parser.add_argument("--random-samples", type=int, default=200, help="queries of the random writer (%(default)s)")
    parser.add_argument("--model-samples", type=int, default=24, help="queries of the model; 0 for none (%(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=48, help="budget of a query (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    add_model_options(parser)
    options = parser.parse_args()
    require_options(parser, options, {"golds": 0, "random_samples": 0, "model_samples": 0, "max_new_tokens": 4})
    quiet()
    tokenizer = load_tokenizer(options.model)
    end_ids = frozenset({tokenizer.eos_token_id})
    compiler = GrammarCompiler(tokenizer, end_ids=end_ids)
    tasks = [task for split in ("train_spider", "dev") for task in spider_tasks(options.spider, split)]
    rng = random.Random(options.seed)
    unique = list({(task.database.location, task.gold): task for task in tasks}.values())
    at_once = list(accepted_at_once(unique, compiler, Encode(tokenizer)))
    golds = rng.sample(unique, min(options.golds, len(unique))) if options.golds else unique
    verdicts = list(accepted(golds, compiler, Encode(tokenizer)))

    findings, timed = Findings(), Timed()
    spellings = shared_vocabulary(tokenizer, end_ids=end_ids).spellings
    writer = RandomWriter(spellings, end_ids)
    databases = sorted({task.database for task in tasks}, key=lambda database: database.name)
    bundled = [task for task in BundledSqlReader().read("train").tasks if isinstance(task, SqlTask)]
    databases += sorted({task.database for task in bundled}, key=lambda database: database.name)
    for number in range(options.random_samples):
        database = databases[number % len(databases)]
        compiled = compiler.compile(make_grammar(database))
        text, ending = writer.write(compiled, timed, rng, rng.randint(4, options.max_new_tokens))
        findings.judge(database, text.decode(errors="replace"), ending)
    random_seconds = timed.seconds
    model_seconds = _model_samples(options, rng, tasks, tokenizer, compiler, findings) if options.model_samples else []
    microseconds = np.array(model_seconds or random_seconds or [0.0]) * 1e6
    of_random = np.array(random_seconds or [0.0]) * 1e6
    counts = findings.counts
    print(
        json.dumps(
            {
                "golds": len(at_once),
                "gold_accepted": sum(at_once) / len(at_once),
                "golds_by_token": len(verdicts),
                "gold_accepted_by_token": sum(verdicts) / len(verdicts),
                "sampled": counts["sampled"],
                "parse_errors": counts["parse_errors"],
                "unknown_names": counts["unknown_names"],
                "stuck": counts["stuck"],
                "open": counts["open"],
                "closed": counts["closed"],
                "model_sampled": counts["model"],
                "model_closed": counts["model closed"],
                "mask_us_p50": round(float(np.percentile(microseconds, 50)), 1),
                "mask_us_p99": round(float(np.percentile(microseconds, 99)), 1),
                "random_mask_us_p50": round(float(np.percentile(of_random, 50)), 1),
                "random_mask_us_p99": round(float(np.percentile(of_random, 99)), 1),
                "mask_us_max": round(float(max(microseconds.max(), of_random.max())), 1),
            }
        )
    )


def _model_samples(
    options: argparse.Namespace,
    rng: random.Random,
    tasks: Sequence[SqlTask],
    tokenizer: PreTrainedTokenizerBase,
    compiler: GrammarCompiler,
    findings: Findings,
) -> list[float]:
    """Draws with the model; the seconds of the masks on the way of what it wrote, replayed."""
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device)
    engine = TransformersEngine(model, tokenizer)
    environment = SqlEnvironment()
    chosen = rng.sample(tasks, min(options.model_samples, len(tasks)))
    requests = [
        Request(
            prompt_ids=prompt_ids(tokenizer, environment, task),
            max_new_tokens=options.max_new_tokens,
            grammar=make_grammar(task.database),
            seed=options.seed + number,
        )
        for number, task in enumerate(chosen)
    ]
    timed = Timed()
    for task, generation in zip(chosen, engine.generate(requests), strict=True):
        text = tokenizer.decode(generation.token_ids, skip_special_tokens=True)
        matcher = compiler.compile(make_grammar(task.database)).matcher()
        for token in generation.token_ids:
            timed.mask(matcher)
            matcher.consume([token])
        findings.counts["model closed"] += generation.closed > 0
        findings.judge(task.database, text, "model" if matcher.error is None else "stuck")
    return timed.seconds


if __name__ == "__main__":
    main()
