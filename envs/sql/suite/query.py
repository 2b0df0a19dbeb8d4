"""A query as a syntax tree, and which table's column each name in it means.

Resolved are names whose source is a table of the schema, directly or through subqueries and common table expressions
that pass the column on. Not resolved: columns of views, of NATURAL joins' results and of recursive expressions; nothing
that is built on the resolution relies on its being complete.
"""

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from envs.sql.databases.schema import Table
from envs.sql.parsing.statement import parse_statement

ColumnKey = tuple[str, str]
"""(table, column), in the schema's spelling."""


class ParsedQuery:
    """A query's tree with its column names resolved."""

    def __init__(self, text: str, dialect: str, tables: Sequence[Table]) -> None:
        """
        Args:
            dialect: sqlglot's name of the SQL that the query is written in.

        Raises:
            ValueError: sqlglot cannot read it within the bounds of ``envs.sql.parsing.statement``, or it is no query.
        """
        self.dialect = dialect
        self.tables: Mapping[str, Table] = {table.name.lower(): table for table in tables}
        self._column_names = {
            table.name.lower(): {column.name.lower(): column.name for column in table.columns} for table in tables
        }
        statement = parse_statement(text, dialect)
        if statement.tree is None:
            raise ValueError(f"sqlglot cannot parse it: {statement.error}")
        tree: exp.Query = statement.tree.copy()  # the other one is shared
        self.tree = tree
        self.root = exp.Paren(this=tree)
        """Holds the tree, so that its topmost node can be replaced as any other."""
        self._expressions = {
            expression.alias.lower(): expression.this for expression in tree.find_all(exp.CTE) if expression.alias
        }
        self._meanings: dict[int, ColumnKey | None] = {}
        if dialect == "sqlite":
            self._read_quoted_names_as_strings()

    @property
    def is_ordered(self) -> bool:
        """It has an ORDER BY at its top level."""
        return self.tree.args.get("order") is not None

    def sql(self) -> str:
        """The tree as text."""
        return str(self.tree.sql(dialect=self.dialect))

    def meaning(self, column: exp.Column) -> ColumnKey | None:
        """The table's column that a name of this tree means; None when it is not a table's or not resolved."""
        key = id(column)
        if key not in self._meanings:
            self._meanings[key] = None  # what is met again on the way leads round in a circle
            self._meanings[key] = self._resolve(column, column.name.lower(), depth=0)
        return self._meanings[key]

    def columns(self) -> Iterator[tuple[exp.Column, ColumnKey]]:
        """Every column name that is resolved, with what it means."""
        for column in self.tree.find_all(exp.Column):
            if (key := self.meaning(column)) is not None:
                yield column, key

    def sources(self, select: exp.Select) -> dict[str, exp.Expression]:
        """What the FROM and JOIN clauses of ``select`` name, by lower-case alias: tables and subqueries."""
        origin = select.args.get("from_")
        items = [origin.this if origin else None, *[join.this for join in select.args.get("joins") or ()]]
        return {item.alias_or_name.lower(): item for item in items if isinstance(item, (exp.Table, exp.Subquery))}

    def table_of(self, source: exp.Expression | None) -> Table | None:
        """The schema's table that an entry of ``sources`` is."""
        if not isinstance(source, exp.Table) or source.name.lower() in self._expressions:
            return None
        return self.tables.get(source.name.lower())

    def _resolve(self, column: exp.Expression, name: str, depth: int) -> ColumnKey | None:
        """Looks for ``name`` in the query around ``column``, then in those around that."""
        qualifier = column.text("table").lower()
        around = column.find_ancestor(exp.Select, exp.SetOperation)
        while around is not None:
            if isinstance(around, exp.SetOperation):
                is_found, key = self._among_outputs(around, name, depth)
            else:
                is_found, key = self._in_select(around, qualifier, name, depth)
            if is_found:
                return key
            around = around.find_ancestor(exp.Select, exp.SetOperation)
        return None

    def _in_select(self, select: exp.Select, qualifier: str, name: str, depth: int) -> tuple[bool, ColumnKey | None]:
        for alias, source in self.sources(select).items():
            if qualifier and alias != qualifier:
                continue
            is_found, key = self._in_source(source, name, depth)
            if is_found:
                return True, key
        if not qualifier:
            for projection in select.expressions:
                if isinstance(projection, exp.Alias) and projection.alias.lower() == name:
                    inner = projection.this
                    return True, self.meaning(inner) if isinstance(inner, exp.Column) else None
        return False, None

    def _in_source(self, source: exp.Expression, name: str, depth: int) -> tuple[bool, ColumnKey | None]:
        table = self.table_of(source)
        if table is not None:
            spelling = self._column_names[table.name.lower()].get(name)
            return spelling is not None, None if spelling is None else (table.name, spelling)
        inner = source.this if isinstance(source, exp.Subquery) else self._expressions.get(source.name.lower())
        if isinstance(inner, exp.Query) and depth < 8:  # an expression that names itself would lead round for ever
            return self._among_outputs(inner, name, depth + 1)
        return False, None

    def _among_outputs(self, query: exp.Expression, name: str, depth: int) -> tuple[bool, ColumnKey | None]:
        while isinstance(query, (exp.SetOperation, exp.Subquery)):
            query = query.this
        if not isinstance(query, exp.Select):
            return False, None
        for projection in query.expressions:
            if projection.is_star:
                for source in self.sources(query).values():
                    is_found, key = self._in_source(source, name, depth)
                    if is_found:
                        return True, key
            elif projection.alias_or_name.lower() == name:
                inner = projection.unalias()
                return True, self.meaning(inner) if isinstance(inner, exp.Column) else None
        return False, None

    def _read_quoted_names_as_strings(self) -> None:
        """SQLite takes "x" for a string where no column has that name; the tree then should say so."""
        for column in list(self.tree.find_all(exp.Column)):
            identifier = column.this
            if column.args.get("table") or not isinstance(identifier, exp.Identifier) or not identifier.quoted:
                continue
            name = identifier.name.lower()
            if self.meaning(column) is None and not self._is_output_or_unknown_source(column, name):
                column.replace(exp.Literal.string(identifier.name))

    def _is_output_or_unknown_source(self, column: exp.Column, name: str) -> bool:
        around = column.find_ancestor(exp.Select, exp.SetOperation)
        while around is not None:
            outputs = around.selects if isinstance(around, exp.SetOperation) else around.expressions
            if any(isinstance(output, exp.Alias) and output.alias.lower() == name for output in outputs):
                return True
            if isinstance(around, exp.Select):
                for source in self.sources(around).values():
                    if self.table_of(source) is None and self._in_source(source, name, depth=0)[0]:
                        return True
            around = around.find_ancestor(exp.Select, exp.SetOperation)
        return False
