"""The parser's facts on Spider's gold queries and databases: rewrites that keep the meaning, edits that change it."""

import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlglot import exp, parse_one

from envs.sql.parsing.canonical import canonical_form
from envs.sql.parsing.double_quotes import with_single_quotes
from envs.sql.parsing.facts import compare_queries
from envs.sql.parsing.names import used_names

Schema = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Gold:
    """A gold query with its database."""

    query: str
    database: Path
    schema: Schema


@pytest.fixture(scope="module")
def spider(dataset_directory: Callable[[str, str], Path]) -> Path:
    return dataset_directory("spider", "dev.json")


@pytest.fixture(scope="module")
def golds(spider: Path) -> list[Gold]:
    """The gold queries of dev, each once."""
    return _read_golds(spider, "dev.json")


def _read_golds(spider: Path, file: str) -> list[Gold]:
    rows = {(row["db_id"], row["query"]) for row in json.loads((spider / file).read_text())}
    schemas: dict[str, tuple[Path, Schema]] = {}
    for name in {name for name, _ in rows}:
        path = spider / "database" / name / f"{name}.sqlite"
        schemas[name] = (path, _read_schema(path))
    return [Gold(query=query, database=schemas[n][0], schema=schemas[n][1]) for n, query in sorted(rows)]


def _read_schema(path: Path) -> Schema:
    with _opened(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: tuple(row[1] for row in connection.execute(f"PRAGMA table_info([{table}])")) for table in tables}


def _opened(path: Path) -> "closing[sqlite3.Connection]":
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, cached_statements=0)
    connection.text_factory = lambda raw: raw.decode(errors="backslashreplace")
    return closing(connection)


@pytest.fixture(scope="module")
def connections(golds: list[Gold]) -> Iterator[dict[Path, sqlite3.Connection]]:
    with ExitStack() as stack:
        yield {path: stack.enter_context(_opened(path)) for path in {gold.database for gold in golds}}


def _form(query: str, gold: Gold) -> str | None:
    return canonical_form(query, gold.schema, "sqlite")


def test_every_gold_query_is_parsed_resolved_and_has_a_form(spider: Path) -> None:
    for file in ("dev.json", "train_spider.json"):
        without = [gold.query for gold in _read_golds(spider, file) if _form(gold.query, gold) is None]
        assert not without


def test_the_names_are_those_that_sqlite_reads(golds: list[Gold], connections: dict[Path, sqlite3.Connection]) -> None:
    for gold in golds:
        names: set[str] = set()

        def authorize(
            action: int, table: str | None, column: str | None, *_: str | None, names: set[str] = names
        ) -> int:
            if action == sqlite3.SQLITE_READ and table:
                names.update({table.lower(), f"{table}.{column}".lower()} if column else {table.lower()})
            return sqlite3.SQLITE_OK

        connections[gold.database].set_authorizer(authorize)
        connections[gold.database].execute(f"EXPLAIN {gold.query}")
        connections[gold.database].set_authorizer(None)
        assert used_names(gold.query, gold.schema, "sqlite") == names, gold.query


def test_single_quotes_keep_the_result(golds: list[Gold], connections: dict[Path, sqlite3.Connection]) -> None:
    changed = 0
    for gold in golds:
        rewritten = with_single_quotes(gold.query, gold.schema, "sqlite")
        assert rewritten is not None
        if rewritten != gold.query:
            changed += 1
            run = connections[gold.database].execute
            assert run(rewritten).fetchall() == run(gold.query).fetchall()
    assert changed > 100


def test_rewrites_by_construction_keep_form_and_result(
    golds: list[Gold], connections: dict[Path, sqlite3.Connection]
) -> None:
    generator = random.Random(0)
    for gold in golds:
        rewritten = rewrite(gold.query, generator)
        assert _form(rewritten, gold) == _form(gold.query, gold), (gold.query, rewritten)
        if " limit " not in gold.query.lower():  # which of tied rows it keeps is the database's choice
            run = connections[gold.database].execute
            assert sorted(map(repr, run(rewritten))) == sorted(map(repr, run(gold.query))), (gold.query, rewritten)


def test_edits_of_one_place_change_the_form(golds: list[Gold]) -> None:
    generator = random.Random(0)
    edited = 0
    for gold in golds:
        for edit in EDITS:
            tree = parse_one(gold.query, dialect="sqlite")
            if edit(tree, gold.schema, generator):
                query = tree.sql(dialect="sqlite")
                form = _form(query, gold)
                assert form != _form(gold.query, gold), (gold.query, query)
                edited += form is not None
    assert edited > 2_000


def test_other_golds_with_the_form_of_a_gold_have_its_result(
    golds: list[Gold], connections: dict[Path, sqlite3.Connection]
) -> None:
    results: dict[tuple[Path, str | None], list[str]] = {}
    for gold in golds:
        result = sorted(map(repr, connections[gold.database].execute(gold.query)))
        assert results.setdefault((gold.database, _form(gold.query, gold)), result) == result, gold.query
    assert len(results) < len(golds)


def test_a_gold_is_exact_beside_itself_and_a_rewrite_of_it(golds: list[Gold]) -> None:
    generator = random.Random(1)
    for gold in golds[::5]:
        facts = compare_queries(rewrite(gold.query, generator), gold.query, gold.schema, "sqlite")
        assert (facts.is_exact, facts.table_jaccard, facts.column_jaccard) == (True, 1.0, 1.0)
        assert {score for score in facts.clause_scores.values() if score is not None} == {1.0}


def rewrite(query: str, generator: random.Random) -> str:
    """The same query otherwise written: aliases, order of joins and conditions, orientation, case, white space."""
    tree = parse_one(query, dialect="sqlite")
    _rename_aliases(tree, generator)
    for select in list(tree.find_all(exp.Select)):
        if not any(isinstance(item, exp.Star) for item in select.expressions):
            _shuffle_joins(select, generator)
    for chain in list(tree.find_all(exp.And, exp.Or)):
        if not isinstance(chain.parent, type(chain)):
            parts = list(chain.flatten())
            generator.shuffle(parts)
            whole: exp.Expr = exp.Paren(this=parts[0].copy())
            for part in parts[1:]:
                whole = type(chain)(this=whole, expression=exp.Paren(this=part.copy()))
            chain.replace(whole)
    for comparison in list(tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.LT, exp.GTE, exp.LTE)):
        if generator.random() < 0.5:
            mirrored = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}
            kind = mirrored.get(type(comparison), type(comparison))
            comparison.replace(exp.Paren(this=kind(this=comparison.expression, expression=comparison.this)))
    for identifier in tree.find_all(exp.Identifier):
        if not identifier.args.get("quoted"):
            identifier.set("this", "".join(generator.choice([c.lower(), c.upper()]) for c in identifier.this))
    return tree.sql(dialect="sqlite", pretty=generator.random() < 0.5) + generator.choice(["", " ;", " -- end"])


def _rename_aliases(tree: exp.Expr, generator: random.Random) -> None:
    """One new name for each alias throughout the statement, so that whatever it means where, it means the same."""
    tables = {table.name.lower() for table in tree.find_all(exp.Table)}
    aliases = {alias.name.lower() for alias in tree.find_all(exp.TableAlias)} - tables
    renamed = {alias: f"r{generator.randrange(10**9)}" for alias in sorted(aliases)}
    for alias in tree.find_all(exp.TableAlias):
        if alias.name.lower() in renamed:
            alias.set("this", exp.to_identifier(renamed[alias.name.lower()]))
    for column in tree.find_all(exp.Column):
        if column.table.lower() in renamed:
            column.set("table", exp.to_identifier(renamed[column.table.lower()]))


def _shuffle_joins(select: exp.Expr, generator: random.Random) -> None:
    joins = select.args.get("joins") or []
    if not joins or any(join.args.get("using") or join.side or join.args.get("method") for join in joins):
        return
    tables = [select.args["from_"].this, *(join.this for join in joins)]
    conditions = [join.args["on"] for join in joins if join.args.get("on") is not None]
    generator.shuffle(tables)
    select.set("from_", exp.From(this=tables[0]))
    select.set("joins", [exp.Join(this=table, kind="CROSS") for table in tables[1:]])
    where = select.args.get("where")
    for condition in conditions:
        whole = exp.Paren(this=condition)
        where = exp.Where(this=exp.And(this=exp.Paren(this=where.this), expression=whole) if where else whole)
    if where:
        select.set("where", where)


Edit = Callable[[exp.Expr, Schema, random.Random], bool]


def _change_column(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    names = {column.lower(): table for table, columns in schema.items() for column in columns}
    columns = [c for c in tree.find_all(exp.Column) if c.name.lower() in names and not c.this.args.get("quoted")]
    if not columns:
        return False
    column = generator.choice(columns)
    others = [c for c in schema[names[column.name.lower()]] if c.isidentifier() and c.lower() != column.name.lower()]
    if not others:
        return False
    column.set("this", exp.to_identifier(generator.choice(others)))
    return True


def _change_operator(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    found = list(tree.find_all(exp.EQ, exp.NEQ, exp.GT, exp.LT, exp.GTE, exp.LTE))
    if not found:
        return False
    comparison = generator.choice(found)
    kinds = [kind for kind in (exp.EQ, exp.NEQ, exp.GT, exp.LT, exp.GTE, exp.LTE) if type(comparison) is not kind]
    comparison.replace(generator.choice(kinds)(this=comparison.this, expression=comparison.expression))
    return True


def _change_literal(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    found = [literal for literal in tree.find_all(exp.Literal) if not isinstance(literal.parent, exp.Ordered)]
    if not found:
        return False
    literal = generator.choice(found)
    literal.set("this", literal.this + "1")
    return True


def _change_aggregate(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    found = [node for node in tree.find_all(exp.Avg, exp.Sum, exp.Min, exp.Max)]
    if not found:
        return False
    aggregate = generator.choice(found)
    kinds = [kind for kind in (exp.Avg, exp.Sum, exp.Min, exp.Max, exp.Count) if type(aggregate) is not kind]
    aggregate.replace(generator.choice(kinds)(this=aggregate.this))
    return True


def _toggle_distinct(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    select = generator.choice(list(tree.find_all(exp.Select)))
    select.set("distinct", None if select.args.get("distinct") else exp.Distinct())
    return True


def _toggle_direction(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    found = list(tree.find_all(exp.Ordered))
    if not found:
        return False
    ordered = generator.choice(found)
    ordered.set("desc", not ordered.args.get("desc"))
    ordered.set("nulls_first", not ordered.args.get("desc"))
    return True


def _swap_connective(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    found = list(tree.find_all(exp.And, exp.Or))
    if not found:
        return False
    connective = generator.choice(found)
    kind = exp.Or if type(connective) is exp.And else exp.And
    connective.replace(exp.Paren(this=kind(this=connective.this, expression=connective.expression)))
    return True


def _reverse_select_list(tree: exp.Expr, schema: Schema, generator: random.Random) -> bool:
    select = tree.find(exp.Select)
    assert select is not None
    if len(select.expressions) < 2 or select.expressions[0] == select.expressions[-1]:
        return False
    select.set("expressions", select.expressions[::-1])
    return True


EDITS: tuple[Edit, ...] = (
    _change_column,
    _change_operator,
    _change_literal,
    _change_aggregate,
    _toggle_distinct,
    _toggle_direction,
    _swap_connective,
    _reverse_select_list,
)
