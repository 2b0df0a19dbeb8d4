"""Rewrites a query from one SQL dialect to another through sqlglot, such that the result stays the same.

From SQLite more has to change than the spelling: names are spelled as the target does, double-quoted texts become
texts, and what only SQLite accepts is said in a way that stricter databases accept (``envs.sql.sqlite_leniency``).

Measured on the 972 gold queries of Spider's dev set, on copies of its databases: all run on DuckDB 2.0 and on
PostgreSQL 15; 951 and 934 give SQLite's result. The others leave open which of several tied rows they mean, or the
order of those rows.

Not covered: the order of texts on a PostgreSQL database whose collation is not C; from DuckDB and PostgreSQL only what
sqlglot itself does.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError

from envs.sql.databases.schema import Table
from envs.sql.parsing.dialect_rules import folded
from envs.sql.parsing.resolution import resolve
from envs.sql.parsing.scopes import AliasReference, ColumnReference, Reference, Source, TextReference
from envs.sql.parsing.statement import parse_statement
from envs.sql.sqlite_leniency import LeniencyRewriter


def translate(query: str, source: str, target: str, tables: Sequence[Table]) -> str:
    """``query`` in the dialect ``target``.

    Args:
        source, target: sqlglot's names of the dialects: sqlite, duckdb or postgres.
        tables: of the target's database. Names are the source's up to upper and lower case.

    Raises:
        ValueError: it cannot be parsed or written; the message says why.
    """
    if source == target:
        return query
    try:
        if source != "sqlite":
            statement = parse_statement(query, source)
            if statement.tree is None:
                raise ValueError(f"the query cannot be parsed: {statement.error}")
            return statement.tree.sql(dialect=target)
        return _translate_from_sqlite(query, target, tables)
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"the query cannot be translated to {target}: {error or type(error).__name__}") from error


def _translate_from_sqlite(query: str, target: str, tables: Sequence[Table]) -> str:
    schema = {table.name: tuple(column.name for column in table.columns) for table in tables}
    resolution = resolve(query, schema, "sqlite")
    if resolution is None:
        raise ValueError(f"the query cannot be parsed: {parse_statement(query, 'sqlite').error}")
    tree = resolution.tree.copy()  # the original is shared
    pairs = list(zip(resolution.tree.walk(), tree.walk(), strict=True))
    twins = {id(original): twin for original, twin in pairs}
    references = {
        id(node): reference
        for pair in pairs
        if (reference := resolution.references.get(id(pair[0]))) is not None
        for node in pair
    }
    scopes = {id(twins[original]): scope for original, scope in resolution.scopes.items() if original in twins}
    holder = exp.Paren(this=tree)  # so that the tree's root, too, can be replaced
    _Spelling(tables).write(holder, references)
    LeniencyRewriter(target=target, references=references, scopes=scopes, twins=twins, tables=tables).rewrite(holder)
    return holder.this.sql(dialect=target, identify=True)


class _Spelling:
    """Writes names as the target knows them: those of its tables and columns as they are, all others in lower case."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = {folded(table.name): table.name for table in tables}
        self._columns = {
            (folded(table.name), folded(column.name)): column.name for table in tables for column in table.columns
        }
        self._any_column = {column: name for (_, column), name in reversed(self._columns.items())}

    def write(self, tree: exp.Expr, references: Mapping[int, Reference]) -> None:
        """Changes every name in ``tree``."""
        common = {folded(table.alias) for table in tree.find_all(exp.CTE)}
        for node in list(tree.walk()):
            if isinstance(node, exp.Table):
                self._write_table(node, common)
            elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
                reference = references.get(id(node))
                if isinstance(reference, TextReference):
                    node.replace(exp.Literal.string(reference.text))
                else:
                    self._write_column(node, reference)
            elif isinstance(node, exp.TableAlias):
                _set(node.this, lambda name: folded(name))
                for name in node.columns:
                    _set(name, lambda name: folded(name))
            elif isinstance(node, exp.Alias):
                _set(node.args["alias"], lambda name: folded(name))
            elif isinstance(node, exp.Join):
                for name in node.args.get("using") or ():
                    _set(name, lambda name: self._any_column.get(folded(name), name))

    def _write_table(self, node: exp.Table, common: set[str]) -> None:
        name = folded(node.name)
        if node.args.get("alias") is not None and folded(node.alias) == name:
            node.set("alias", None)  # its columns are then qualified by the table's own spelling
        _set(node.this, lambda _: name if name in common else self._tables.get(name, node.name))

    def _write_column(self, node: exp.Column, reference: Reference | None) -> None:
        name = folded(node.name)
        _set(node.args.get("table"), lambda table: self._tables.get(folded(table), folded(table)))
        if isinstance(reference, ColumnReference):
            spelled = self._spelled(reference)
        else:
            spelled = name if isinstance(reference, AliasReference) else node.name
        _set(node.this, lambda _: spelled)

    def _spelled(self, reference: ColumnReference) -> str:
        source: Source = reference.scope.sources[reference.source]
        if source.table is not None:
            return self._columns.get((source.table, reference.name), reference.name)
        if isinstance(reference.column, int) and reference.column < len(source.outputs):
            output = source.outputs[reference.column]
            if output.reference is not None:
                return self._spelled(output.reference)
            # A column that the derived table passes on under its own name keeps its spelling.
            if isinstance(output.expression, exp.Column) and not isinstance(output.expression.parent, exp.Alias):
                return self._any_column.get(reference.name, reference.name)
        return reference.name


def _set(identifier: exp.Expr | None, spelled: Callable[[str], str]) -> None:
    if isinstance(identifier, exp.Identifier):
        identifier.set("this", spelled(identifier.this))
