"""The grammar takes the queries over its own database, and nothing that names what is not there."""

import json
from collections.abc import Callable
from pathlib import Path

import llguidance
import pytest

from data.bundled_tasks import BundledSqlReader
from envs.sql.databases.database import Database
from envs.sql.grammar import make_grammar


class Bytes:
    """A tokenizer with one token a byte, in the shape that llguidance takes."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = [256]
    tokens = [bytes([value]) for value in range(256)] + [b"<end>"]

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


TOKENIZER = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))
Accepts = Callable[[Path, str], bool]


@pytest.fixture(scope="module")
def accepts() -> Accepts:
    compiled: dict[Database, llguidance.LLMatcher] = {}

    def check(path: Path, query: str) -> bool:
        database = Database.at(path)
        if database not in compiled:
            source = llguidance.grammar_from("lark", make_grammar(database).source)
            compiled[database] = llguidance.LLMatcher(TOKENIZER, source)
        matcher = compiled[database].deep_copy()
        tokens = list(query.encode())
        count = matcher.try_consume_tokens(tokens)
        assert not matcher.is_error(), matcher.get_error()
        return count == len(tokens) and matcher.is_accepting()

    return check


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM singer",
        "select NAME from Singer;",
        "SELECT * FROM singer AS s LEFT JOIN concert c ON s.singer_id = c.singer_id WHERE c.year >= 2020",
        'SELECT "home town", `name`, [age] FROM "order", singer',
        "SELECT count (DISTINCT age), avg(age) FROM singer GROUP BY name HAVING count(*) > 1 AND max(age) < 3",
        "SELECT count(*) AS n FROM singer GROUP BY age ORDER BY n DESC, age LIMIT 3 OFFSET 1",
        "SELECT name FROM singer WHERE singer_id NOT IN (SELECT singer_id FROM concert) OR NOT age IS NULL",
        "SELECT name FROM singer UNION ALL SELECT venue FROM concert EXCEPT SELECT 'x'",
        "SELECT t.n FROM (SELECT count(*) AS n FROM singer) AS t WHERE n > 1",
        "SELECT n FROM singer JOIN (SELECT count(*) AS n FROM concert) ON n = age",
        "WITH RECURSIVE a(x) AS (SELECT age FROM singer), b AS (SELECT x FROM a) SELECT a.x FROM a, b",
        "SELECT CASE WHEN age > 30 THEN 'old' WHEN age IS NULL THEN NULL ELSE 'young' END FROM singer",
        "SELECT cast(age AS REAL) / 2.5 || 'O''Hara' FROM singer WHERE name LIKE '%a%' AND age BETWEEN -1 AND 9",
        "SELECT name, rank() OVER (PARTITION BY age ORDER BY name DESC) AS r FROM singer",
        'SELECT name FROM singer WHERE name = "Ada" AND EXISTS (SELECT 1 FROM concert)',
        "SELECT name FROM adult\n\tORDER BY name",
    ],
)
def test_a_query_over_the_database_is_accepted(accepts: Accepts, database: Path, query: str) -> None:
    assert accepts(database, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM nobody",
        "SELECT shoe_size FROM singer",
        "SELECT singer.shoe_size FROM singer",
        "SELECT name FROM singer ORDER BY n",
        "SELECT group FROM singer",
        "SELECT name FROM from",
        "SELECTname FROM singer",
        "SELECT name FROM singer WHERE",
        "SELECT name FROM singer; SELECT 1",
        "SELECT name FROM singer -- end",
        "SELECT name FROM singer and more",
        "SELECT load_extension('x')",
        "SELECT name, FROM singer",
        "SELECT (name FROM singer",
        "DELETE FROM singer",
        "PRAGMA table_info(singer)",
        "",
    ],
)
def test_what_is_no_query_over_the_database_is_rejected(accepts: Accepts, database: Path, query: str) -> None:
    assert not accepts(database, query)


def test_a_finished_query_leaves_only_its_end_and_continuations(accepts: Accepts, database: Path) -> None:
    source = llguidance.grammar_from("lark", make_grammar(Database.at(database)).source)
    matcher = llguidance.LLMatcher(TOKENIZER, source)
    assert matcher.consume_tokens(list(b"SELECT name FROM singer;"))
    mask = matcher.compute_bitmask()
    assert [token for token in range(257) if mask[token // 8] >> (token % 8) & 1] == [256]


def test_the_gold_of_every_bundled_task_is_accepted(accepts: Accepts) -> None:
    for split in ("train", "heldout"):
        for task in BundledSqlReader().read(split).tasks:
            assert accepts(Path(task.database.location), task.gold), task.gold


def test_the_gold_of_spider_is_accepted(accepts: Accepts, dataset_directory: Callable[[str, str], Path]) -> None:
    home = dataset_directory("spider", "tables.json")
    rows = json.loads((home / "dev.json").read_text())
    rejected = [
        row["query"]
        for row in rows
        if not accepts(home / "database" / row["db_id"] / f"{row['db_id']}.sqlite", row["query"].strip())
    ]
    assert len(rejected) <= 0.01 * len(rows), rejected[:5]
