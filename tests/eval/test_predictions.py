"""Predictions of other systems: every layout says the same, what does not fit is counted and named, gold is right."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.reader import Reading
from data.registry import DataConfig, make_reader
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.layout import Tags
from envs.math.environment import MathEnvironment
from envs.sql.environment import SqlEnvironment
from envs.task import Task
from eval.config import HeldoutConfig
from eval.measurement import evaluate_answers, metrics_of
from eval.prediction_files import read_prediction_file
from eval.predictions import PredictionsConfig, bare_text, predicted_texts, prediction_source

BLOCKS = Tags(reasoning="think", must_reason=True, step="intermediate_sql", observation="result", answer="final_sql")
QUERIES = ["SELECT 1", "SELECT name FROM singer", "", "SELECT 'ü', '{\"a\": 1}'"]


def tasks(count: int = 4, name: str = "spider-dev-{}") -> list[Task]:
    return [Task(id=name.format(number), labels={"database": "concert"}) for number in range(count)]


def texts(
    path: Path, reading: Reading, *, missing: Any = "error", environment: Environment[Any] | None = None
) -> dict[str, str]:
    config = PredictionsConfig(path=str(path), missing=missing)
    return predicted_texts(config, environment or SqlEnvironment(), reading, list(reading.tasks))


def lines(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


IDS = [task.id for task in tasks()]
LAYOUTS = {
    "id and prediction": lines([{"id": name, "prediction": query} for name, query in zip(IDS, QUERIES, strict=True)]),
    "task and text, shuffled": lines(
        [{"task": name, "text": query, "model": "x"} for name, query in list(zip(IDS, QUERIES, strict=True))[::-1]]
    ),
    "id and answer, blank lines": "\n"
    + lines([{"id": n, "answer": q} for n, q in zip(IDS, QUERIES, strict=True)])
    + "\n",
    "question_id and sql": lines([{"question_id": n, "sql": q} for n, q in enumerate(QUERIES)]),
    "list of objects": json.dumps([{"doc_id": n, "response": q} for n, q in zip(IDS, QUERIES, strict=True)], indent=1),
    "list of texts": json.dumps(QUERIES),
    "one object": json.dumps(dict(zip(IDS, QUERIES, strict=True)), indent=1),
    "BIRD's": json.dumps({str(n): f"{query}\t----- bird -----\tconcert" for n, query in enumerate(QUERIES)}),
    "Spider's": "".join(f"{query}\tconcert\n" for query in QUERIES),
    "plain lines": "\n".join(QUERIES) + "\n\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_says_the_same(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions"
    path.write_text(LAYOUTS[layout], encoding="utf-8")
    assert texts(path, Reading(tasks=tasks())) == dict(zip(IDS, QUERIES, strict=True))


def test_a_value_that_is_no_text_is_written_as_json_and_null_is_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(lines([{"id": "a", "prediction": {"b": [1, None]}}, {"id": "c", "prediction": None}]))
    assert read_prediction_file(path).entries == (("a", '{"b": [1, null]}'),)


@given(st.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: text)
        try:
            read_prediction_file(Path("any"))
        except ConfigurationError as error:
            assert "predictions 'any'" in str(error)


def test_only_the_tasks_own_database_is_cut_off() -> None:
    task = tasks(1)[0]
    assert bare_text("SELECT a\tFROM b", task) == "SELECT a\tFROM b"
    assert bare_text("SELECT a\tFROM b\tconcert", task) == "SELECT a\tFROM b"
    assert bare_text("SELECT a\tconcert", Task(id="x")) == "SELECT a\tconcert"


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([("spider-dev-0", "a")], "3 of 4 tasks have no prediction ('spider-dev-1', 'spider-dev-2', 'spider-dev-3')"),
        ([(name, "a") for name in [*IDS, "x", "y", "z", "w"]], "4 predictions belong to no task ('x', 'y', 'z', ...)"),
        ([(name, "a") for name in [*IDS, IDS[2]]], "1 ids occur more than once ('spider-dev-2')"),
        ([(str(number), "a") for number in range(3)], "1 of 4 tasks have no prediction ('spider-dev-3')"),
    ],
)
def test_ids_that_do_not_fit_are_counted_and_named(entries: list[tuple[str, str]], names: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(lines([{"id": name, "prediction": text} for name, text in entries]))
    with pytest.raises(ConfigurationError) as refused:
        texts(path, Reading(tasks=tasks()))
    assert str(refused.value).startswith(f"predictions '{path}': ") and names in str(refused.value)


def test_missing_predictions_may_count_as_wrong_but_extra_ones_never(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(lines([{"id": IDS[1], "prediction": "a"}]))
    assert texts(path, Reading(tasks=tasks()), missing="wrong") == {**dict.fromkeys(IDS, ""), IDS[1]: "a"}
    with pytest.raises(ConfigurationError, match="predictions.missing to 'wrong'"):
        texts(path, Reading(tasks=tasks()))
    path.write_text(lines([{"id": "other", "prediction": "a"}]))
    with pytest.raises(ConfigurationError, match="1 predictions belong to no task"):
        texts(path, Reading(tasks=tasks()), missing="wrong")


@pytest.mark.parametrize("absent", range(4))
@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("is_json", [False, True])
def test_numbers_are_those_of_rows_whatever_the_reader_left_out(
    absent: int, missing: int, is_json: bool, tmp_path: Path
) -> None:
    # As Spider is read when the database of one row is not there; one row, or the end of the lines, is not predicted.
    kept = [task for number, task in enumerate(tasks()) if number != absent]
    reading = Reading(tasks=kept, skipped=Counter({"no database": 1}))
    there = [n for n in range(4) if n != missing] if is_json else list(range(missing))
    path = tmp_path / "predictions"
    blank = "\n" * (4 - missing)
    path.write_text(
        json.dumps({str(n): f"q{n}" for n in there}) if is_json else "".join(f"q{n}\n" for n in there) + blank
    )
    if not there:
        with pytest.raises(ConfigurationError, match="is empty"):
            texts(path, reading)
        return
    told = {task.id: f"q{task.id[-1]}" if int(task.id[-1]) in there else "" for task in kept}
    assert texts(path, reading, missing="wrong") == told
    if unpredicted := [name for name, text in told.items() if not text]:
        with pytest.raises(ConfigurationError, match=f"{len(unpredicted)} of 3 tasks have no prediction"):
            texts(path, reading)
    else:
        assert texts(path, reading) == told


def test_more_lines_than_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    path.write_text("a\nb\nc\nd\ne\n")
    with pytest.raises(ConfigurationError, match="1 predictions belong to no task \\('4'\\)"):
        texts(path, Reading(tasks=tasks()[1:], skipped=Counter({"no database": 1})))


def test_places_are_refused_where_nothing_tells_which_rows_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    skipped = Counter({"no database": 1})
    for count in (3, 4):
        path.write_text("a\n" * count)
        for names in (["p", "q", "r"], ["bird-1471", "bird-20", "bird-999"]):
            with pytest.raises(ConfigurationError, match=f"1 of the dataset's 4 rows were left out.*'{names[0]}'"):
                texts(path, Reading(tasks=[Task(id=name) for name in names], skipped=skipped))
    # Numbers of the ids' own, such as BIRD's question_id, may be given.
    mini = Reading(tasks=[Task(id=name) for name in ["bird-1471", "bird-20"]], skipped=skipped)
    path.write_text('{"20": "a", "1471": "b", "7": "c"}')
    assert texts(path, mini) == {"bird-20": "a", "bird-1471": "b"}
    path.write_text('{"0": "a", "1": "b", "2": "c"}')
    with pytest.raises(ConfigurationError, match="2 of 2 tasks have no prediction"):
        texts(path, mini)


def test_predictions_for_tasks_that_are_not_drawn_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    path.write_text("a\nb\nc\nd\n")
    config = PredictionsConfig(path=str(path))
    drawn = predicted_texts(config, SqlEnvironment(), Reading(tasks=tasks()), tasks()[2:3])
    assert drawn == {IDS[2]: "c"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "is empty"),
        ('{"id": "a", "text": "b"}\nSELECT 1\n', "line 2: expected an object with an id"),
        # Keys that nobody knows are not taken for texts.
        ('{"id": "a", "guess": "b"}\n{"id": "b", "guess": "c"}\n', "line 1: .*question_id.*response"),
        ('{"a": 1}\n\n{"a": 2}\n', r'line 1: .*is written \{"id": ..., "prediction": \{...\}\}'),
        ('[{"id": "a", "text": "b"}, {"id": "b"}]', "entry 2: expected an object"),
        ("[1, 2]", "neither objects nor texts"),
        ("[]", "neither objects nor texts"),
        ('{"id": "a", "query": "b", "answer": "c"}\n', "'answer' and 'query' may each be the prediction"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, names: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=names):
        texts(path, Reading(tasks=tasks()))
    with pytest.raises(ConfigurationError, match="no such file"):
        texts(tmp_path / "missing", Reading(tasks=tasks()))


def scores(environment: Any, metric: str, given: dict[str, str] | str, reader: str) -> list[float | None]:
    """The headline of eight bundled tasks, task by task."""
    reading = make_reader(DataConfig(reader=reader), environment).read("heldout")
    chosen = list(reading.tasks)[:8]
    if isinstance(given, str):
        given = predicted_texts(PredictionsConfig(path=given), environment, reading, chosen)
    config = HeldoutConfig(metrics=[metric])
    source = prediction_source(given, environment, metrics_of(environment, config), at_once=3)
    evaluation = evaluate_answers(source, environment, chosen, config, title="test")
    return [record.metrics[metric] for record in evaluation.records if record.decoding == "free"]


@pytest.mark.parametrize(
    ("environment", "reader"), [(SqlEnvironment(tags=BLOCKS), "bundled_sql"), (MathEnvironment(), "bundled_math")]
)
def test_gold_against_gold_is_all_right(environment: Any, reader: str) -> None:
    assert scores(environment, "correct", "gold", reader) == [1.0] * 8


def test_a_bare_query_is_the_answer_where_the_environment_asks_for_blocks(tmp_path: Path) -> None:
    environment = SqlEnvironment(tags=BLOCKS)
    reading = make_reader(DataConfig(reader="bundled_sql"), environment).read("heldout")
    gold = [task.gold for task in reading.tasks]  # type: ignore[attr-defined]
    path = tmp_path / "gold.txt"
    path.write_text("".join(f"{' '.join(query.split())}\n" for query in gold))
    assert scores(environment, "correct", str(path), "bundled_sql") == [1.0] * 8
    path.write_text("SELECT 'wrong'\n" * len(gold))
    assert scores(environment, "correct", str(path), "bundled_sql") == [0.0] * 8
