"""How often a judge of SQL accepts a query that is wrong, and whether it rejects one that is right.

    python benchmarks/sql_truth.py --spider DIR

One-edit mutants of Spider's dev gold are judged three ways: as sets of rows on the real database (BIRD), as bags there
(test-suite semantics), and as bags there and on the gold's fuzzed test suite (ours). An accepted mutant is wrong when
an independent set of databases proves it different: other seeds and ways of drawing, constants of gold and mutant, none
chosen by what it reveals, and samples of the real rows besides. A difference counts only where the gold's result hangs
on no order, and only when it is there again with the rows visited in reverse. A third of the mutants is made by
operators that the choice of the suite does not know ("held out"); they are shown apart on stderr, and
``wrong_ours_known`` is the share without them (many, such as COALESCE, change nothing and are rightly accepted).

``gold_rejected`` counts rewrites of the gold, equal to it by construction, that ours rejects. ``build_ms`` is the time
of building all suites (schema and samples read, candidates drawn, mutants run) for each database that was kept: of the
processor, so that what else the machine does is left out.

Not covered: whether the gold answers its question. Equal on the independent set does not prove a mutant equal.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sql_truth_independent import LIMITS, IndependentSet, read_real_rows  # noqa: E402
from benchmarks.sql_truth_mutants import HeldOutMutants  # noqa: E402
from benchmarks.sql_truth_rewrites import rewrites  # noqa: E402
from envs.sql.databases.database import Database  # noqa: E402
from envs.sql.databases.execution import QueryResult  # noqa: E402
from envs.sql.databases.kinds import open_connection  # noqa: E402
from envs.sql.suite.agreement import Agreement, ScratchPool  # noqa: E402
from envs.sql.suite.build import SuiteBuilder  # noqa: E402
from envs.sql.suite.mutants import Mutant, MutantMaker  # noqa: E402
from envs.sql.suite.query import ParsedQuery  # noqa: E402
from envs.sql.suite.settings import SuiteSettings  # noqa: E402
from envs.sql.suite.stability import agrees  # noqa: E402

HELD_OUT_SHARE = 1 / 3
JUDGES = ("set", "bag", "ours")


@dataclass(kw_only=True)
class Tally:
    """Counts of one database; added up over all."""

    mutants: Counter[str] = field(default_factory=Counter)
    """By operator."""
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (judge, operator)."""
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    rewrites: int = 0
    rejected: list[str] = field(default_factory=list)
    """Rewrites that ours rejects."""
    escaped: list[str] = field(default_factory=list)
    """Mutants that ours accepts wrongly."""
    kept: int = 0
    golds: int = 0
    seconds: float = 0.0
    empty: int = 0
    """Golds without rows on the real database."""
    defects: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds the counts of ``other``."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The golds of one database."""

    location: str
    golds: dict[str, int]
    """How many questions have it."""
    mutants: int
    """For each question."""
    seed: int
    nulls: str
    settings: SuiteSettings


def run(job: Job) -> Tally:
    """Judges everything of one database."""
    tally = Tally()
    database = Database.at(job.location)
    connection = open_connection(database, LIMITS)
    pool = ScratchPool(LIMITS, capacity=job.settings.instances)
    start = time.process_time()
    builder = SuiteBuilder(database, job.settings, connection, LIMITS)
    tally.seconds += time.process_time() - start
    real = read_real_rows(builder, connection)
    for gold, questions in job.golds.items():
        start = time.process_time()
        suite = builder.build(gold)
        tally.seconds += time.process_time() - start
        tally.kept += len(suite.instances)
        tally.golds += 1
        query = ParsedQuery(gold, database.dialect, builder.tables)
        answer = connection.execute(gold, LIMITS)
        if not isinstance(answer, QueryResult):
            tally.defects.append(f"{database.name}: {gold}: the gold does not run")
            continue
        tally.empty += questions * (not answer.rows)
        if suite.defect is not None:
            tally.defects += [f"{database.name}: {gold}: {suite.defect}"] * questions
        agreement = Agreement(builder, suite, pool)
        for text in rewrites(query):
            tally.rewrites += questions
            outcome = connection.execute(text, LIMITS)
            is_right = suite.certainty.agrees(answer, outcome, is_ordered=query.is_ordered)
            if not is_right or agreement.disagreement(text) is not None:
                where = "on the suite" if is_right else "on the real database"
                tally.rejected += [f"{where}: {database.name}: {text}"] * questions
        independent = IndependentSet(builder, real, query, gold, suite.null_columns, job.seed + 10_000, job.nulls)
        for mutant in _mutants(query, builder, job.mutants * questions, Random(f"{job.seed}:{gold}")):
            outcome = connection.execute(mutant.query, LIMITS)
            if not isinstance(outcome, QueryResult):
                continue
            tally.mutants[mutant.operator] += 1
            is_possible = suite.certainty.agrees(answer, outcome, is_ordered=query.is_ordered)
            verdicts = {
                "set": set(answer.rows) == set(outcome.rows),
                "bag": agrees(answer, outcome, is_ordered=query.is_ordered),
                "ours": is_possible and agreement.disagreement(mutant.query) is None,
            }
            if not any(verdicts.values()):
                continue
            is_wrong = independent.proves_different(mutant.query)
            for judge in JUDGES:
                tally.accepted[judge, mutant.operator] += verdicts[judge]
                tally.wrong[judge, mutant.operator] += verdicts[judge] and is_wrong
            if verdicts["ours"] and is_wrong:
                tally.escaped.append(f"{mutant.operator}: {database.name}: {gold} -> {mutant.query}")
        independent.close()
    pool.close()
    builder.close()
    connection.close()
    return tally


def _mutants(query: ParsedQuery, builder: SuiteBuilder, count: int, random: Random) -> list[Mutant]:
    """``count`` mutants: of the known and the held-out operators apart, every operator as likely as any other."""
    known = MutantMaker(query, builder.profiles, random).make(10_000)
    texts = {mutant.query for mutant in known}
    unknown = [mutant for mutant in HeldOutMutants(query, builder, random).make() if mutant.query not in texts]
    held_out = min(round(count * HELD_OUT_SHARE), len(unknown))
    return [*_by_operator(known, count - held_out, random), *_by_operator(unknown, held_out, random)]


def _by_operator(mutants: list[Mutant], count: int, random: Random) -> list[Mutant]:
    left: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in random.sample(mutants, len(mutants)):
        left[mutant.operator].append(mutant)
    chosen: list[Mutant] = []
    while left and len(chosen) < count:
        operator = random.choice(sorted(left))
        chosen.append(left[operator].pop())
        if not left[operator]:
            del left[operator]
    return chosen


def summarise(tally: Tally) -> dict[str, Any]:
    """The benchmark's last line."""
    summary: dict[str, Any] = {"mutants": tally.mutants.total()}
    for judge in JUDGES:
        accepted, wrong = (_of_judge(counts, judge) for counts in (tally.accepted, tally.wrong))
        summary[f"accepted_{judge}"] = accepted
        summary[f"wrong_{judge}"] = round(wrong / accepted, 4) if accepted else 0.0
    known = [
        _of_judge(counts, "ours") - _of_judge(counts, "ours", "held out") for counts in (tally.accepted, tally.wrong)
    ]
    summary["wrong_ours_known"] = round(known[1] / known[0], 4) if known[0] else 0.0
    summary["gold_rejected"] = len(tally.rejected)
    summary["build_ms"] = round(1000 * tally.seconds / tally.kept, 2) if tally.kept else 0.0
    return summary


def _of_judge(counts: Counter[tuple[str, str]], judge: str, prefix: str = "") -> int:
    return sum(number for (name, operator), number in counts.items() if name == judge and operator.startswith(prefix))


def show_details(tally: Tally) -> None:
    """By operator, and what went wrong, to stderr."""
    for operator in [*sorted(tally.mutants), "held out"]:
        figures = [f"{sum(n for name, n in tally.mutants.items() if name.startswith(operator)):6d}"]
        for judge in JUDGES:
            figures.append(
                f"{_of_judge(tally.accepted, judge, operator):6d}{_of_judge(tally.wrong, judge, operator):6d}"
            )
        print(f"{operator:34s}", "  ".join(figures), file=sys.stderr)
    print("columns: mutants; accepted and of them wrong as sets, as bags, by ours", file=sys.stderr)
    for title, lines in (("rejected", tally.rejected), ("escaped", tally.escaped), ("defect", tally.defects)):
        for line in lines:
            print(f"{title}: {line}", file=sys.stderr)
    print(
        f"{tally.golds} golds, {tally.kept} databases, {tally.rewrites} rewrites; "
        f"{tally.empty} questions with an empty gold result, {len(tally.defects)} with a defect",
        file=sys.stderr,
    )


def main() -> None:
    """Runs the databases side by side and prints the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spider", type=Path, required=True, help="folder with dev.json and database/")
    parser.add_argument("--file", default="dev.json", help="the questions")
    parser.add_argument("--mutants", type=int, default=4000, help="about how many mutants are judged")
    parser.add_argument("--seed", type=int, default=1, help="of mutants and of the independent set")
    parser.add_argument("--nulls", choices=("data", "schema"), default="data", help="of the independent set")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--every", type=int, default=1, help="take every n-th question only")
    arguments = parser.parse_args()
    questions = json.loads((arguments.spider / arguments.file).read_text())[:: arguments.every]
    golds: dict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        golds[question["db_id"]][question["query"].strip().rstrip(";").rstrip()] += 1
    jobs = [
        Job(
            location=str(arguments.spider / "database" / name / f"{name}.sqlite"),
            golds=dict(of_database),
            mutants=-(-arguments.mutants // len(questions)),
            seed=arguments.seed,
            nulls=arguments.nulls,
            settings=SuiteSettings(),
        )
        for name, of_database in sorted(golds.items(), key=lambda item: -item[1].total())
    ]
    total = Tally()
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as processes:
        for tally in processes.imap_unordered(run, jobs):
            total.add(tally)
    show_details(total)
    print(json.dumps(summarise(total)))


if __name__ == "__main__":
    main()
