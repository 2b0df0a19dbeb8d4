"""Two reports side by side: the shared tasks, what differs besides, and every mistake of the one who compares."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from evaluations import HOSTILE, card, record, summed_up

from decoding.rollout import Ledger
from eval.compare import main, pairs
from eval.compare_report import changes_table, compare_reports, costs_table, strata_table
from eval.record_lines import line_of
from eval.records import Record
from eval.report import write_evaluation
from eval.report_reading import read_report

CONFIG = "environment: {name: sql}\ndata: {reader: spider}\nheldout: {metrics: [correct], seed: 0}\n"


def answers(values: dict[str, float | None], decoding: str = "greedy", **changes: object) -> list[Record]:
    """One answer a task."""
    return [
        record(
            task=task, decoding=decoding, metrics={"correct": value}, **{"labels": {"difficulty": "easy"}, **changes}
        )
        for task, value in values.items()
    ]


def report(directory: Path, *records: Record, config: str = CONFIG, prompt: str = "How many?") -> Path:
    """A report of an evaluation, without its pictures and its page."""
    directory.mkdir()
    evaluation = summed_up(*records, rates=("correct",), ledger=Ledger(generated_tokens=40, verifier_calls=8))
    measurements = {name: asdict(each) for name, each in evaluation.measurements.items()}
    (directory / "report.json").write_text(json.dumps({"model": directory.name, "measurements": measurements}))
    (directory / "records.jsonl").write_text("".join(map(line_of, records)))
    cards = [card(task, prompt) for task in dict.fromkeys(each.task for each in records)]
    (directory / "tasks.jsonl").write_text("".join(map(line_of, cards)))
    (directory / "config.yaml").write_text(config)
    return directory


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Reports that share three judged tasks of one decoding."""
    before: dict[str, float | None] = {"1": 1.0, "2": 0.0, "3": 0.0, "4": None, "lone": 1.0}
    after: dict[str, float | None] = {"1": 0.0, "2": 1.0, "3": 0.0, "4": 1.0}
    first = report(tmp_path / "a", *answers(before), *answers({"1": 0.0}, "free"))
    return first, report(tmp_path / "b", *answers(after), *answers(after, "best_of_4"))


def test_shared_tasks_are_compared_and_the_rest_is_told(two: tuple[Path, Path]) -> None:
    first, second = map(read_report, two)
    compared = compare_reports(first, second, pairs(first, second, []))
    found = compared.metrics["greedy", "correct"]
    assert found is not None and (found.tasks, found.unjudged, found.test) == (3, 1, "McNemar")
    assert compared.changes["greedy"].better == ("2",) and compared.changes["greedy"].worse == ("1",)
    assert compared.strata["greedy", "difficulty", "easy"] == found
    assert compared.differences == (
        "Decodings of A that are not compared: free.",
        "Decodings of B that are not compared: best_of_4.",
        "greedy: 4 tasks are in both, 1 only in A, 0 only in B.",
    )
    assert changes_table(compared).rows == [
        ["greedy", "worse to better", "1", "2"],
        ["greedy", "better to worse", "1", "1"],
    ]
    assert costs_table(compared).rows[0][:6] == ["greedy", "A", "5", "8.0", "0.0", "1.6"]
    assert [row[:3] for row in strata_table(compared).rows] == [["greedy", "difficulty: easy", "3"]]


def test_what_differs_besides_the_model_is_said(tmp_path: Path) -> None:
    first = report(tmp_path / "a", *answers({"1": 1.0}))
    other = CONFIG.replace("spider", "bird").replace(", seed: 0", "")
    second = report(tmp_path / "b", *answers({"1": 1.0}), config=other, prompt="Another?")
    sides = read_report(first), read_report(second)
    assert compare_reports(*sides, {"greedy": ("greedy", "greedy")}).differences == (
        'data.reader: "spider" in A, "bird" in B.',
        "heldout.seed: 0 in A, not set in B.",
        "1 tasks have another prompt or reference in B, the first of them 1.",
    )
    assert compare_reports(sides[0], sides[0], {"greedy": ("greedy", "greedy")}).differences == ()


def test_metrics_that_one_lacks_are_named_and_the_others_compared(tmp_path: Path) -> None:
    first = report(tmp_path / "a", record(decoding="x", metrics={"correct": 1.0, "soft_f1": 0.5}))
    second = report(tmp_path / "b", record(decoding="x", metrics={"soft_f1": 0.75, "valid": 1.0}))
    compared = compare_reports(read_report(first), read_report(second), {"x": ("x", "x")})
    assert [metric for _, metric in compared.metrics] == ["soft_f1"]
    assert compared.differences == ("Only A has the metrics correct.", "Only B has the metrics valid.")


def test_the_command_writes_three_files_and_prints_the_table(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(two[0]), str(two[1])])
    printed = capsys.readouterr().out
    assert "| greedy | correct | 3 | 0.333 | 0.333 | +0.000 [" in printed and "1 only in A" in printed
    output = two[1] / "compared"
    assert sorted(path.name for path in output.iterdir()) == ["compare.json", "compare.md", "compare.png"]
    summary = json.loads((output / "compare.json").read_text())
    assert summary["decodings"]["greedy"]["metrics"]["correct"]["agreement"]["both"] == 0
    assert summary["decodings"]["greedy"]["changes"] == {"better": ["2"], "worse": ["1"]}
    assert [cost["verifier_calls"] for cost in summary["decodings"]["greedy"]["costs"]] == [8, 8]


def test_decodings_of_other_names_are_paired_on_demand(two: tuple[Path, Path], tmp_path: Path) -> None:
    main([str(two[0]), str(two[1]), "--decoding", "greedy:best_of_4", "--output", str(tmp_path / "o")])
    assert "| greedy to best_of_4 | correct | 3 |" in (tmp_path / "o" / "compare.md").read_text()
    first, second = map(read_report, two)
    assert pairs(first, second, ["greedy", "free:greedy"]) == {
        "greedy": ("greedy", "greedy"),
        "free to greedy": ("free", "greedy"),
    }


def test_names_with_colons_are_cut_where_both_sides_know_them(tmp_path: Path) -> None:
    first = read_report(report(tmp_path / "a", *answers({"1": 1.0}, "t:0")))
    second = read_report(report(tmp_path / "b", *answers({"1": 1.0}, "t:1")))
    assert pairs(first, second, ["t:0:t:1"]) == {"t:0 to t:1": ("t:0", "t:1")}


def test_a_training_runs_moments_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    moments = {"before": answers({"1": 0.0, "2": 0.0}), "after": answers({"1": 1.0, "2": 0.0})}
    for moment, records in moments.items():
        (run / f"{moment}.jsonl").write_text("".join(map(line_of, records)))
    kept = {moment: {"greedy": {"ledger": {"generated_tokens": 10, "a figure of old": 1}}} for moment in moments}
    (run / "report.json").write_text(json.dumps({"model": "m", **kept}))
    main([str(run / "before.jsonl"), str(run)])
    assert "| greedy | correct | 2 | 0.000 | 0.500 |" in capsys.readouterr().out
    assert "| greedy | B | 2 | 5.0 |" in (run / "compared" / "compare.md").read_text()


def test_a_report_that_was_written_is_read_again(tmp_path: Path) -> None:
    records = [record(text, task=f"{place} {text[:40]}") for place, text in enumerate(HOSTILE)]
    write_evaluation(
        tmp_path, summed_up(*records), title="T", model="m", resolved=CONFIG, skipped={}, cards=[card(records[0].task)]
    )
    read = read_report(tmp_path)
    assert [answer.task for answer in read.answers["free"]] == [each.task for each in records]
    assert read.ledgers["free"].generated_tokens == 12 and read.settings["environment.name"] == '"sql"'
    assert list(read.prompts) == [records[0].task] and read.metrics == ["valid", "content"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the command refuses."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("structrl: ") and line.count("\n") == 1
    return line


def test_mistakes_end_in_one_line(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(str, two)
    assert "no directory of a report" in refused([first, str(tmp_path / "nowhere")], capsys)
    (tmp_path / "empty").mkdir()
    assert "neither records.jsonl nor after.jsonl" in refused([str(tmp_path / "empty"), second], capsys)
    assert "A has greedy, free; B has greedy" in refused([first, second, "--decoding", "free"], capsys)
    (tmp_path / "file").write_text("")
    assert "--output" in refused([first, second, "--output", str(tmp_path / "file")], capsys)


def test_reports_without_anything_in_common_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = str(report(tmp_path / "base", *answers({"1": 1.0})))
    tasks = str(report(tmp_path / "tasks", *answers({"2": 1.0})))
    assert "no task in common ('greedy': 1, ...; 'greedy': 2, ...)" in refused([base, tasks], capsys)
    metrics = str(report(tmp_path / "metrics", record(task="1", decoding="greedy")))
    assert "no metric in common: correct and valid, content" in refused([base, metrics], capsys)
    decodings = str(report(tmp_path / "decodings", *answers({"1": 1.0}, "free")))
    assert "pair them by --decoding" in refused([base, decodings], capsys)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("records.jsonl", "", "holds no answer"),
        ("records.jsonl", '{"task": "1"}\n', "KeyError: 'metrics'"),
        ("records.jsonl", '{"task": ', "damaged"),
        ("records.jsonl", "[]\n", "damaged"),
        ("report.json", "{", "is not JSON"),
        ("report.json", "[" * 100_000, "is not JSON"),
        ("report.json", '[{"model": "m"}]', "expected the JSON object of a report"),
        ("report.json", "null", "holds null"),
        ("report.json", '{"measurements": []}', "damaged"),
        ("config.yaml", "a: [", "is not YAML"),
        ("tasks.jsonl", "{}\n", "KeyError: 'task'"),
    ],
)
def test_a_damaged_report_is_refused(
    file: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = report(tmp_path / "a", *answers({"1": 1.0}))
    (directory / file).write_text(content)
    assert message in refused([str(directory), str(directory)], capsys)
