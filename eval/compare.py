"""Compares two reports, task by task.

    python eval/compare.py runs/eval-base runs/eval-trained
    python eval/compare.py runs/sql/before.jsonl runs/sql/after.jsonl --output runs/sql/change
    python eval/compare.py runs/a runs/b --decoding greedy:best_of_16

Each of A and B is the directory of an evaluation or of a training run (then what it measured after training), or the
before.jsonl or after.jsonl of such a run. Decodings of one name are compared, or those that --decoding pairs. Written
are compare.md, compare.json and compare.png. The tests are those of eval/paired.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.configuration import exit_with
from envs.errors import ConfigurationError
from eval.compare_report import (
    ReportComparison,
    changes_table,
    compare_reports,
    costs_table,
    draw_comparison,
    metric_table,
    strata_table,
)
from eval.markdown_text import cell
from eval.report_reading import KeptReport, read_report


def pairs(first: KeptReport, second: KeptReport, wanted: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Which decodings are compared: title -> the name of either side.

    Args:
        first: A.
        second: B.
        wanted: NAME or A_NAME:B_NAME each; empty: all names that both have.

    Raises:
        ConfigurationError: there is no such decoding, or none in common.
    """
    known = f"A has {', '.join(first.answers)}; B has {', '.join(second.answers)}"
    if not wanted:
        shared = {name: (name, name) for name in first.answers if name in second.answers}
        if not shared:
            raise ConfigurationError(f"no decoding has the same name in both: {known}; pair them by --decoding A:B")
        return shared
    found = {}
    for text in wanted:
        # Names may hold colons themselves: every place to cut is tried.
        cuts = [(text, text), *((text[:place], text[place + 1 :]) for place, sign in enumerate(text) if sign == ":")]
        fitting = [(early, late) for early, late in cuts if early in first.answers and late in second.answers]
        if len(fitting) != 1:
            raise ConfigurationError(f"--decoding '{text}' names no decoding of A and of B, or several: {known}")
        early, late = fitting[0]
        found[early if early == late else f"{early} to {late}"] = (early, late)
    return found


def write_comparison(directory: Path, compared: ReportComparison) -> str:
    """Writes compare.md, compare.json and compare.png, and returns what is printed.

    Raises:
        ConfigurationError: the directory cannot be written.
    """
    headline = next(metric for _, metric in compared.metrics)
    notes = "\n".join(f"- {cell(each)}" for each in compared.differences)
    notes = notes or "Nothing but the model, as far as is known."
    text = f"""# {cell(compared.first.name)} (A) and {cell(compared.second.name)} (B)

A: {cell(compared.first.model)}; B: {cell(compared.second.model)}. Means over the tasks that both were judged on;
differences B - A with 95 % intervals (eval/paired.py says how).

{metric_table(compared)}

![differences](compare.png)

## What else differs

{notes}

## Tasks that changed, by {cell(headline)}

{changes_table(compared)}

## Strata, by {cell(headline)}

{strata_table(compared)}

## Cost

{costs_table(compared)}
"""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "compare.md").write_text(text, encoding="utf-8")
        (directory / "compare.json").write_text(json.dumps(_summary(compared), indent=2) + "\n", encoding="utf-8")
        draw_comparison(directory / "compare.png", compared)
    except OSError as error:
        raise ConfigurationError(f"'{directory}' cannot be written ({error}); choose another --output") from error
    return f"{metric_table(compared)}\n\n{notes}"


def _summary(compared: ReportComparison) -> dict[str, Any]:
    decodings: dict[str, dict[str, Any]] = {}
    for title, (early, late) in compared.decodings.items():
        ledgers = (compared.first.ledgers.get(early), compared.second.ledgers.get(late))
        decodings[title] = {
            "decodings": [early, late],
            "metrics": {metric: _plain(each) for (name, metric), each in compared.metrics.items() if name == title},
            "strata": [
                {"label": label, "value": value, "comparison": _plain(each)}
                for (name, label, value), each in compared.strata.items()
                if name == title
            ],
            "changes": asdict(compared.changes[title]),
            "costs": [_plain(ledger) for ledger in ledgers],
        }
    return {
        "reports": [compared.first.name, compared.second.name],
        "models": [compared.first.model, compared.second.model],
        "differences": list(compared.differences),
        "decodings": decodings,
    }


def _plain(value: Any) -> Any:
    return None if value is None else asdict(value)


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and compares; a mistake that the user can mend ends in one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", metavar="A", type=Path, help="a report")
    parser.add_argument("second", metavar="B", type=Path, help="the report that is compared with it")
    parser.add_argument("--output", type=Path, help="directory to write to (default: 'compared' beside the report B)")
    parser.add_argument(
        "--decoding", action="append", default=[], metavar="NAME or A_NAME:B_NAME", help="may be given several times"
    )
    given = parser.parse_args(arguments)
    try:
        first, second = read_report(given.first), read_report(given.second)
        compared = compare_reports(first, second, pairs(first, second, given.decoding))
        home = given.second if given.second.is_dir() else given.second.parent
        output = given.output or home / "compared"
        print(write_comparison(output, compared))
        print(f"\ncomparison: {output / 'compare.md'}")
    except ConfigurationError as error:
        exit_with(error)


if __name__ == "__main__":
    main(sys.argv[1:])
