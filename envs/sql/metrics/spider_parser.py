"""Spider's official grammar: from the words of a query to its structure.

The grammar covers what Spider's gold queries use and nothing else. Outside it are, for example, an alias of a column,
an alias without AS, a comma in FROM, LEFT JOIN, IS NULL, CASE, functions other than the five aggregates, and WITH.
What stands after the query is ignored. Where the official parser is odd, the oddity is kept and marked "official:",
because published scores hold it.
"""

from collections.abc import Mapping, Sequence

from envs.sql.metrics.spider_schema import SpiderSchema
from envs.sql.metrics.spider_structure import (
    ALL_COLUMNS,
    NONE,
    ColumnUnit,
    Condition,
    Conditions,
    OrderBy,
    Query,
    SelectItem,
    Value,
    ValueUnit,
)
from envs.sql.metrics.spider_tokens import SpiderSyntaxError, tokenize
from envs.sql.metrics.word_cursor import WordCursor

DEEPEST_NESTING = 50
"""Queries inside each other, set operands included; the official parser ends at Python's recursion limit."""

CLAUSES = frozenset({"select", "from", "where", "group", "order", "limit", "intersect", "union", "except"})
JOINING = frozenset({"join", "on", "as"})
AGGREGATES = frozenset({NONE, "max", "min", "count", "sum", "avg"})
ARITHMETIC = frozenset({NONE, "-", "+", "*", "/"})
COMPARISONS = frozenset({"not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists"})
CONNECTORS = frozenset({"and", "or"})
DIRECTIONS = frozenset({"asc", "desc"})
SET_OPERATORS = frozenset({"intersect", "union", "except"})
END_OF_QUERY = frozenset({")", ";"})
END_OF_VALUE = CLAUSES | JOINING | {",", ")", "and"}


def parse_query(sql: str, schema: SpiderSchema) -> Query:
    """The structure of ``sql``.

    Raises:
        SpiderSyntaxError: it is outside the grammar, or names a table or column that the schema lacks.
    """
    words = tokenize(sql)
    return _Parser(words, _tables_by_name(words, schema), schema).query()


def _tables_by_name(words: Sequence[str], schema: SpiderSchema) -> Mapping[str, str]:
    """What each alias and table name stands for. Official: one alias has one meaning in the whole text."""
    if words[-1:] == ["as"]:
        raise SpiderSyntaxError("AS without a name")
    places = [place for place, word in enumerate(words) if word == "as"]
    names = {words[place + 1]: words[place - 1] for place in places}
    hidden = schema.columns.keys() & names.keys()
    if hidden:
        raise SpiderSyntaxError(f"an alias hides the table {min(hidden)}")
    return {**names, **{table: table for table in schema.columns}}


class _Parser(WordCursor):
    """Reads words from left to right. ``scope`` holds the tables in which a column without its table is looked up."""

    def __init__(self, words: Sequence[str], tables: Mapping[str, str], schema: SpiderSchema) -> None:
        super().__init__(words)
        self._tables = tables
        self._schema = schema
        self._nesting = 0

    def query(self) -> Query:
        self._nesting += 1
        if self._nesting > DEEPEST_NESTING:
            raise SpiderSyntaxError(f"more than {DEEPEST_NESTING} queries inside each other")
        is_bracketed = self.accept("(")
        select_position = self.position
        sources, on, scope = self._from()
        after_from = self.position
        self.position = select_position
        is_distinct, select = self._select(scope)
        self.position = after_from
        where = self._conditions(scope) if self.accept("where") else ()
        group_by = self._group_by(scope)
        having = self._conditions(scope) if self.accept("having") else ()
        order_by = self._order_by(scope)
        has_limit = self._limit()
        self.skip(";")
        if is_bracketed:
            self.expect(")")
        self.skip(";")
        set_operator = self.take() if self.at(SET_OPERATORS) else None
        set_operand = None if set_operator is None else self.query()
        self._nesting -= 1
        return Query(
            is_distinct=is_distinct,
            select=select,
            sources=sources,
            on=on,
            where=where,
            group_by=group_by,
            having=having,
            order_by=order_by,
            has_limit=has_limit,
            set_operator=set_operator,
            set_operand=set_operand,
        )

    def _select(self, scope: Sequence[str]) -> tuple[bool, tuple[SelectItem, ...]]:
        self.expect("select")
        is_distinct = self.accept("distinct")
        items: list[SelectItem] = []
        while not self.at_end() and not self.at(CLAUSES):
            aggregate = self.take() if self.at(AGGREGATES) else NONE
            items.append(SelectItem(aggregate=aggregate, unit=self._value_unit(scope)))
            self.accept(",")
        return is_distinct, tuple(items)

    def _from(self) -> tuple[tuple[str | Query, ...], Conditions, list[str]]:
        """The tables and subqueries, the join conditions, and the scope. Official: the next FROM is taken for it."""
        try:
            self.position = self.words.index("from", self.position) + 1
        except ValueError:
            raise SpiderSyntaxError("no FROM") from None
        sources: list[str | Query] = []
        on: list[Condition | str] = []
        scope: list[str] = []
        while not self.at_end():
            is_bracketed = self.accept("(")
            if self.at({"select"}):
                sources.append(self.query())
            else:
                self.accept("join")
                table = self._table_name(self.take())
                sources.append(self._known(table))
                scope.append(table)
                if self.at({"as"}):
                    self.position += 2
            if self.accept("on"):
                on += ["and"] if on else []
                on += self._conditions(scope)
            if is_bracketed:
                self.expect(")")
            if self.at(CLAUSES | END_OF_QUERY):
                break
        return tuple(sources), _checked(on), scope

    def _group_by(self, scope: Sequence[str]) -> tuple[ColumnUnit, ...]:
        units: list[ColumnUnit] = []
        if self.accept("group"):
            self.expect("by")
            while not self.at_end() and not self.at(CLAUSES | END_OF_QUERY):
                units.append(self._column_unit(scope))
                if not self.accept(","):
                    break
        return tuple(units)

    def _order_by(self, scope: Sequence[str]) -> OrderBy | None:
        if not self.accept("order"):
            return None
        self.expect("by")
        direction = "asc"
        units: list[ValueUnit] = []
        while not self.at_end() and not self.at(CLAUSES | END_OF_QUERY):
            units.append(self._value_unit(scope))
            if self.at(DIRECTIONS):
                direction = self.take()
            if not self.accept(","):
                break
        return OrderBy(direction=direction, units=tuple(units))

    def _limit(self) -> bool:
        """Official: any word does for the number, and its value is not compared."""
        if not self.accept("limit"):
            return False
        self.take()
        return True

    def _conditions(self, scope: Sequence[str]) -> Conditions:
        found: list[Condition | str] = []
        while not self.at_end():
            unit = self._value_unit(scope)
            is_negated = self.accept("not")
            operator = self.take()
            if operator not in COMPARISONS:
                raise SpiderSyntaxError(f"'{operator}' where a comparison was expected")
            value = self._value(scope)
            second_value = None
            if operator == "between":
                self.expect("and")
                second_value = self._value(scope)
            found.append(
                Condition(is_negated=is_negated, operator=operator, unit=unit, value=value, second_value=second_value)
            )
            if self.at(CLAUSES | END_OF_QUERY | JOINING):
                break
            if self.at(CONNECTORS):
                found.append(self.take())
        return _checked(found)

    def _value(self, scope: Sequence[str]) -> Value | Query:
        start = self.position
        is_bracketed = self.accept("(")
        value: Value | Query
        if self.at({"select"}):
            value = self.query()
        elif '"' in self.current():
            value = self.take()
        else:
            try:
                value = float(self.current())
                self.position += 1
            except ValueError:
                value = self._column_as_value(start, scope)
        if is_bracketed:
            self.expect(")")
        return value

    def _column_as_value(self, start: int, scope: Sequence[str]) -> ColumnUnit:
        """Official: words up to the end of the value are skipped, and a bracket that opened it is never closed."""
        end = self.position
        while end < len(self.words) and self.words[end] not in END_OF_VALUE:
            end += 1
        self.position = end
        return _Parser(self.words[start:end], self._tables, self._schema)._column_unit(scope)

    def _value_unit(self, scope: Sequence[str]) -> ValueUnit:
        is_bracketed = self.accept("(")
        left = self._column_unit(scope)
        unit = ValueUnit(left=left)
        if self.at(ARITHMETIC):
            unit = ValueUnit(operator=self.take(), left=left, right=self._column_unit(scope))
        if is_bracketed:
            self.expect(")")
        return unit

    def _column_unit(self, scope: Sequence[str]) -> ColumnUnit:
        is_bracketed = self.accept("(")
        if self.at(AGGREGATES):
            aggregate = self.take()
            self.expect("(")
            is_distinct = self.accept("distinct")
            column = self._column(scope)
            self.expect(")")
            # Official: a bracket round an aggregate is not closed here.
            return ColumnUnit(aggregate=aggregate, column=column, is_distinct=is_distinct)
        is_distinct = self.accept("distinct")
        column = self._column(scope)
        if is_bracketed:
            self.expect(")")
        return ColumnUnit(column=column, is_distinct=is_distinct)

    def _column(self, scope: Sequence[str]) -> str:
        word = self.take()
        if word == ALL_COLUMNS:
            return word
        if "." in word:
            alias, _, column = word.partition(".")
            if "." in column:
                raise SpiderSyntaxError(f"'{word}' has more than one stop")
            return self._known(f"{self._table_name(alias)}.{column}")
        for name in scope:
            table = self._table_name(name)
            if word in self._schema.columns.get(table, ()):
                return f"{table}.{word}"
        raise SpiderSyntaxError(f"no column '{word}'")

    def _table_name(self, word: str) -> str:
        if word not in self._tables:
            raise SpiderSyntaxError(f"no table or alias '{word}'")
        return self._tables[word]

    def _known(self, identifier: str) -> str:
        if identifier not in self._schema.identifiers:
            raise SpiderSyntaxError(f"no '{identifier}' in the schema")
        return identifier


def _checked(places: Sequence[Condition | str]) -> Conditions:
    """Official: the evaluator stops with an error at an AND or OR in a condition's place; here it does not parse."""
    if any(isinstance(place, str) for place in places[::2]):
        raise SpiderSyntaxError("a connector where a condition was expected")
    return tuple(places)
