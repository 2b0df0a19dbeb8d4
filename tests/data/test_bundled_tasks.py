"""The readers of the bundled tasks: true golds, examples that give nothing away, the same tasks every time."""

from collections import Counter

import pytest

from data.bundled_tasks import BundledFunctionsReader, BundledJsonReader, BundledMathReader, BundledSqlReader
from data.reader import Split
from data.registry import DataConfig, load_tasks, make_reader
from envs.errors import ConfigurationError
from envs.json.task import JsonTask
from envs.registry import EnvironmentConfig, make_environment
from envs.transcript import Transcript
from rewards.component import Component
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from rewards.registry import COMPONENTS

SPLITS: tuple[Split, ...] = ("train", "heldout")
READERS = [("json", "bundled_json"), ("json", "bundled_functions"), ("math", "bundled_math"), ("sql", "bundled_sql")]
AnyReader = BundledFunctionsReader | BundledJsonReader | BundledMathReader | BundledSqlReader


def json_tasks(split: Split, **options: object) -> list[JsonTask]:
    """The bundled JSON tasks of a split."""
    tasks = BundledJsonReader(**options).read(split).tasks  # type: ignore[arg-type]
    return [task for task in tasks if isinstance(task, JsonTask)]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("name", "reader"), READERS)
def test_every_gold_answer_is_worth_1_in_every_component(name: str, reader: str, split: Split) -> None:
    facts = ["parsed", "spider_execution", "bird_execution", "soft_f1"]
    options = {"tags": {"answer": "answer"}, **({"executor": {"facts": facts}} if name == "sql" else {})}
    environment = make_environment(EnvironmentConfig(name=name, options=options))
    tasks = make_reader(DataConfig(reader=reader), environment).read(split).tasks
    plain = {part for part, entry in COMPONENTS[name].items() if isinstance(entry, Component)}
    # r_ves is a measured time, Spider's exact match knows only a part of SQL, its test suite has databases of its own,
    # and a null covers no key.
    others = {"r_ves", "spider_exact_match", "spider_test_suite", "coverage"}
    parts = {part: PartConfig(weight=1) for part in plain - others}
    composite = Composite(environment, RewardConfig(parts=parts))
    golds = [environment.reference(task) for task in tasks]
    verdicts = environment.judge([(task, Transcript.of(gold or "")) for task, gold in zip(tasks, golds, strict=True)])
    scores = [composite.score(verdict) for verdict in verdicts]
    poor = {
        task.id: score.parts for task, score in zip(tasks, scores, strict=True) if score.value != pytest.approx(1.0)
    }
    assert len(tasks) >= 50
    # Recursive queries have no canonical tree: what is said of the texts is None, all else is 1.
    untold = {name for name, parts in poor.items() if None in parts.values()}
    assert len(untold) <= 2 and all(set(poor[name].values()) == {None, 1.0} for name in untold)
    assert poor.keys() == untold


@pytest.mark.parametrize(("name", "reader"), READERS)
def test_no_bundled_task_is_left_out_and_no_id_occurs_twice(name: str, reader: str) -> None:
    environment = make_environment(EnvironmentConfig(name=name))
    made = make_reader(DataConfig(reader=reader), environment)
    ids: Counter[str] = Counter()
    for split in SPLITS:
        reading = load_tasks(made, environment, split)
        assert not reading.skipped
        ids.update(task.id for task in reading.tasks)
    assert max(ids.values()) == 1


@pytest.mark.parametrize(
    "reader", [BundledFunctionsReader(), BundledJsonReader(examples=2), BundledMathReader(), BundledSqlReader()]
)
@pytest.mark.parametrize("split", SPLITS)
def test_two_readings_are_equal(reader: AnyReader, split: Split) -> None:
    assert reader.read(split) == reader.read(split)


def test_without_examples_all_tasks_are_measured() -> None:
    assert all(not task.examples for task in json_tasks("heldout"))
    assert len(json_tasks("heldout")) - len(json_tasks("heldout", examples=1)) == 4  # one giver for each new schema


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("examples", [1, 4])
def test_an_example_is_of_the_tasks_schema_and_never_the_task_itself(split: Split, examples: int) -> None:
    golds = {(task.text, task.gold): task.labels["schema"] for each in SPLITS for task in json_tasks(each)}
    for task in json_tasks(split, examples=examples):
        assert len(task.examples) == examples
        assert len({example.text for example in task.examples}) == examples
        for example in task.examples:
            assert example.text != task.text
            assert golds[example.text, example.gold] == task.labels["schema"]


@pytest.mark.parametrize("examples", [1, 4])
def test_examples_of_a_known_schema_come_from_train_and_givers_of_new_ones_are_not_measured(examples: int) -> None:
    train = {task.text for task in json_tasks("train")}
    measured = json_tasks("heldout", examples=examples)
    texts = {task.text for task in measured}
    assert {task.labels["new_schema"] for task in measured} == {"yes", "no"}
    for task in measured:
        given = {example.text for example in task.examples}
        assert not given & texts
        assert task.labels["new_schema"] == "yes" or given <= train
    new = Counter(task.labels["schema"] for task in json_tasks("heldout") if task.labels["new_schema"] == "yes")
    still = Counter(task.labels["schema"] for task in measured if task.labels["new_schema"] == "yes")
    assert still == {schema: count - examples for schema, count in new.items()}


def test_other_options_do_not_change_which_examples_a_task_gets() -> None:
    all_tasks = {task.id: task for task in json_tasks("heldout", examples=2)}
    for task in json_tasks("heldout", examples=2, difficulties=["easy"]):
        assert task == all_tasks[task.id]


@pytest.mark.parametrize(
    ("reader", "grades"),
    [
        (BundledFunctionsReader, ["easy", "medium"]),
        (BundledJsonReader, ["easy", "hard"]),
        (BundledMathReader, ["medium"]),
        (BundledSqlReader, ["easy", "extra"]),
    ],
)
def test_difficulties_keep_exactly_those_grades(reader: type[AnyReader], grades: list[str]) -> None:
    for split in SPLITS:
        everything = reader().read(split).tasks
        kept = reader(difficulties=grades).read(split).tasks
        assert list(kept) == [task for task in everything if task.labels["difficulty"] in grades]
        assert {task.labels["difficulty"] for task in kept} == set(grades)


def test_an_unknown_difficulty_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="unknown difficulty 'hrad'; did you mean 'hard'.*easy"):
        BundledMathReader(difficulties=["easy", "hrad"]).read("train")


@pytest.mark.parametrize("examples", [-1, 5])
def test_a_number_of_examples_that_cannot_be_given_is_refused(examples: int) -> None:
    with pytest.raises(ConfigurationError, match=f"between 0 and 4, got {examples}"):
        BundledJsonReader(examples=examples)
