"""The schema in the prompt: faithful when there is room, the least relevant tables left out when there is not."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from data.spider import SpiderReader
from envs.sql.databases.database import Database
from envs.sql.prompt import SchemaBudget, render_schema
from envs.sql.relevance import words_of
from envs.sql.task import SqlTask
from envs.token_counter import estimated_tokens

EVERYTHING = SchemaBudget(samples=2, tokens=None, keeps_gold_tables=True)
SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer_id INT REFERENCES customer(id), total REAL);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY, happened TEXT, detail TEXT);
CREATE TABLE warehouse (id INTEGER PRIMARY KEY, city TEXT);
INSERT INTO warehouse VALUES (1, 'Oslo');
"""


@pytest.fixture
def shop(tmp_path: Path) -> Database:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    return Database.at(path)


def task(database: Database, question: str = "?", **fields: object) -> SqlTask:
    return SqlTask(id="1", question=question, database=database, gold="SELECT city FROM warehouse", **fields)  # type: ignore[arg-type]


def shown(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith(("CREATE TABLE", "CREATE VIEW"))}


def within(tokens: int, keeps_gold_tables: bool = True) -> SchemaBudget:
    return SchemaBudget(samples=0, tokens=tokens, keeps_gold_tables=keeps_gold_tables)


def test_the_schema_shown_creates_the_same_tables(database: Path) -> None:
    text = render_schema(task(Database.at(database)), EVERYTHING, estimated_tokens)
    with closing(sqlite3.connect(":memory:")) as copy, closing(sqlite3.connect(database)) as original:
        copy.executescript("\n\n".join(part for part in text.split("\n\n") if "VIEW" not in part))
        for table in ("singer", "concert", "order"):
            for pragma in ("table_info", "foreign_key_list"):
                query = f'PRAGMA {pragma}("{table}")'
                assert copy.execute(query).fetchall() == original.execute(query).fetchall()


def test_the_schema_shows_as_many_sample_values_as_asked_for(database: Path) -> None:
    own = task(Database.at(database))
    assert "  name TEXT,  -- 'Ada', 'Ben'\n" in render_schema(own, EVERYTHING, estimated_tokens)
    assert "--" not in render_schema(own, within(10_000), estimated_tokens)


def test_descriptions_stand_beside_what_they_describe_unless_they_only_repeat_the_name(shop: Database) -> None:
    descriptions = {
        "purchase": "what was\nbought",
        "purchase.total": "in euros",
        "purchase.customer_id": "customer id",
        "warehouse.city": "x" * 500,
    }
    text = render_schema(task(shop, descriptions=descriptions), EVERYTHING, estimated_tokens)
    assert "-- what was bought\nCREATE TABLE purchase" in text
    assert "total REAL,  -- in euros\n" in text
    assert "customer_id INT,\n" in text
    assert "x..." in text and "; 'Oslo'" in text and "x" * 200 not in text


def test_the_least_relevant_tables_go_first(shop: Database) -> None:
    own = task(shop, "How much did each customer pay in total for their purchases?")
    order = []
    previous = {"customer", "purchase", "audit_log", "warehouse"}
    for tokens in range(200, 10, -5):
        now = shown(render_schema(own, within(tokens), estimated_tokens))
        order += sorted(previous - now)
        previous = now
    assert set(order[:2]) == {"audit_log", "warehouse"}
    assert len(previous) == 1


def test_a_value_in_the_question_makes_its_table_relevant(shop: Database) -> None:
    assert "warehouse" in shown(render_schema(task(shop, "What do we keep in Oslo?"), within(40), estimated_tokens))


def test_a_neighbour_of_a_relevant_table_stays_longer_than_a_stranger(shop: Database) -> None:
    text = render_schema(task(shop, "Which customers are there?"), within(80), estimated_tokens)
    assert {"customer", "purchase"} <= shown(text) and "audit_log" not in shown(text)


def test_the_text_says_how_many_tables_are_missing_and_names_none_of_them(shop: Database) -> None:
    text = render_schema(task(shop, "purchases"), within(60), estimated_tokens)
    missing = {"customer", "purchase", "audit_log", "warehouse"} - shown(text)
    assert missing and f"-- {len(missing)} more tables are not shown." in text
    assert not [name for name in missing if name in text]


def test_training_keeps_the_golds_tables_and_measuring_does_not(shop: Database) -> None:
    question = "How much did each customer pay in total for their purchases?"
    for is_for_training, keeps, expected in ((True, True, True), (True, False, False), (False, True, False)):
        own = task(shop, question, is_for_training=is_for_training)
        text = render_schema(own, within(60, keeps_gold_tables=keeps), estimated_tokens)
        assert ("warehouse" in shown(text)) is expected


@settings(deadline=None, max_examples=30)
@given(tokens=st.integers(min_value=1, max_value=400))
def test_the_budget_is_kept_as_long_as_more_than_one_table_is_shown(shop_file: Database, tokens: int) -> None:
    text = render_schema(task(shop_file, "customers"), within(tokens), estimated_tokens)
    assert estimated_tokens(text) <= tokens or len(shown(text)) == 1


@pytest.fixture(scope="module")
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    return Database.at(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Airlines", {"airline"}),
        ("song_release_year", {"song", "release", "year"}),
        ("StadiumID of cities", {"stadium", "id", "city"}),
        ("the boxes", {"box"}),
    ],
)
def test_words_are_compared_without_case_and_plural(text: str, words: set[str]) -> None:
    assert words <= words_of(text)


def test_spiders_schemas_keep_the_golds_tables_in_training(dataset_directory: Callable[[str, str], Path]) -> None:
    tasks = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("train").tasks
    largest = [one for one in tasks if one.labels["database"] == "formula_1"]
    assert largest
    for own in largest:
        assert isinstance(own, SqlTask)
        text = render_schema(own, within(300), estimated_tokens)
        read = {table.name.lower() for table in sqlglot.parse_one(own.gold, dialect="sqlite").find_all(exp.Table)}
        assert read <= {name.lower() for name in shown(text)}
        assert "not shown" in text
