"""Mistakes for ``sql_truth.py`` that the choice of test suites (``envs.sql.suite.mutants``) does not know."""

from collections.abc import Iterator
from random import Random

from sqlglot import exp

from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.edits import Edit, edited, replacement
from envs.sql.suite.literals import constant
from envs.sql.suite.mutants import Mutant, MutantMaker
from envs.sql.suite.query import ParsedQuery


class HeldOutMutants:
    """Mistakes that ``envs.sql.suite.mutants`` does not make."""

    def __init__(self, query: ParsedQuery, builder: SuiteBuilder, random: Random) -> None:
        self._query = query
        self._builder = builder
        self._random = random

    def make(self) -> list[Mutant]:
        """All of them, each operator's in random order."""
        edits = list(self._edits())
        self._random.shuffle(edits)
        made = [Mutant(operator=f"held out: {edit.operator}", query=self._text(edit)) for edit in edits]
        return [mutant for mutant in made if mutant.query != self._query.sql()] + self._with_two_edits()

    def _text(self, edit: Edit) -> str:
        return edited(self._query.root, edit, self._query.dialect)

    def _with_two_edits(self) -> list[Mutant]:
        """Two of the known mistakes at once; one may hide the other."""
        singles = MutantMaker(self._query, self._builder.profiles, self._random).make(40)
        doubles = []
        for single in self._random.sample(singles, min(4, len(singles))):
            try:
                first = ParsedQuery(single.query, self._query.dialect, self._builder.tables)
            except ValueError:
                continue
            seconds = MutantMaker(first, self._builder.profiles, self._random).make(40)
            if seconds:
                text = self._random.choice(seconds).query
                doubles.append(Mutant(operator="held out: two edits", query=text))
        return [double for double in doubles if double.query != self._query.sql()]

    def _edits(self) -> Iterator[Edit]:
        for node in list(self._query.tree.walk()):
            if isinstance(node, exp.Select):
                yield from self._of_select(node)
            elif isinstance(node, exp.EQ) and isinstance(value := constant(node.expression), str):
                like = exp.Like(this=node.this.copy(), expression=exp.Literal.string(f"%{value}%"))
                yield from replacement("= to LIKE", node, like)
            elif isinstance(node, exp.Literal):
                yield from self._of_literal(node)
            elif isinstance(node, exp.Union):
                yield Edit(operator="UNION ALL", node=node, argument="distinct", value=not node.args["distinct"])
            elif isinstance(node, exp.Limit) and node.parent is not None:
                offset = exp.Offset(expression=exp.Literal.number(1))
                yield Edit(operator="offset", node=node.parent, argument="offset", value=offset)
            elif isinstance(node, exp.In) and isinstance(inner := node.args.get("query"), exp.Subquery):
                one = exp.Limit(expression=exp.Literal.number(1))
                yield Edit(operator="IN a LIMIT 1", node=inner.this, argument="limit", value=one)
            elif isinstance(node, exp.Join) and (on := node.args.get("on")) is not None:
                yield from self._of_join(node, on)

    def _of_select(self, select: exp.Select) -> Iterator[Edit]:
        columns = self._columns_around(select)
        where = select.args.get("where")
        for column in columns[:2]:
            profile = self._builder.profiles.get(self._meaning(select, column) or ("", ""))
            values = [value for value in profile.values if not isinstance(value, bytes)] if profile else []
            if values:
                value = exp.convert(self._random.choice(values))
                for kind in (exp.EQ, exp.NEQ, exp.GTE):
                    yield _with_condition("extra condition", select, kind(this=column.copy(), expression=value.copy()))
                listed = exp.In(this=column.copy(), expressions=[exp.convert(value) for value in values])
                yield _with_condition("extra condition", select, listed)
        for column in columns[:1]:
            known = exp.Not(this=exp.Is(this=column.copy(), expression=exp.Null()))
            yield _with_condition("IS NOT NULL", select, known)
        joins = select.args.get("joins") or []
        for place in range(len(joins)):
            rest = [join for index, join in enumerate(joins) if index != place]
            yield Edit(operator="join dropped", node=select, argument="joins", value=rest)
        for place, projection in enumerate(select.expressions[:1]):
            inner = projection.unalias()
            if not projection.is_star:
                for operator, new in (
                    ("COALESCE", exp.Coalesce(this=inner.copy(), expressions=[exp.Literal.number(0)])),
                    ("ROUND", exp.Round(this=inner.copy())),
                    ("UPPER", exp.Upper(this=inner.copy())),
                ):
                    projections = [*select.expressions[:place], new, *select.expressions[place + 1 :]]
                    yield Edit(operator=operator, node=select, argument="expressions", value=projections)
        if (group := select.args.get("group")) is not None:
            for column in columns[:2]:
                keys = [*group.expressions, column.copy()]
                yield Edit(operator="group key added", node=group, argument="expressions", value=keys)
        if (order := select.args.get("order")) is not None:
            for column in columns[:2]:
                keys = [exp.Ordered(this=column.copy()), *order.expressions]
                yield Edit(operator="order key added", node=order, argument="expressions", value=keys)
        if where is not None and isinstance(where.this, exp.And):
            yield Edit(
                operator="negated condition",
                node=where,
                argument="this",
                value=exp.Not(this=exp.paren(where.this.copy())),
            )

    def _of_literal(self, literal: exp.Literal) -> Iterator[Edit]:
        beside = (
            [sibling for sibling in literal.parent.args.values() if isinstance(sibling, exp.Column)]
            if literal.parent
            else []
        )
        for column in beside:
            profile = self._builder.profiles.get(self._query.meaning(column) or ("", ""))
            for value in self._random.sample(profile.values, min(2, len(profile.values))) if profile else ():
                if not isinstance(value, bytes):
                    yield from replacement("literal of the data", literal, exp.convert(value))

    def _of_join(self, join: exp.Join, on: exp.Expression) -> Iterator[Edit]:
        columns = self._columns_around(join)
        if len(columns) > 1:
            extra = exp.EQ(this=columns[0].copy(), expression=columns[1].copy())
            yield Edit(operator="join condition added", node=join, argument="on", value=exp.and_(on.copy(), extra))

    def _columns_around(self, node: exp.Expression) -> list[exp.Column]:
        """Every column of the tables of the SELECT around, in random order."""
        select = node if isinstance(node, exp.Select) else node.find_ancestor(exp.Select)
        if select is None:
            return []
        columns = [
            exp.column(column.name, table=alias, quoted=False)
            for alias, source in self._query.sources(select).items()
            if (table := self._query.table_of(source)) is not None
            for column in table.columns
        ]
        self._random.shuffle(columns)
        return columns

    def _meaning(self, select: exp.Select, column: exp.Column) -> tuple[str, str] | None:
        table = self._query.table_of(self._query.sources(select).get(column.text("table")))
        return (table.name, column.name) if table is not None else None


def _with_condition(operator: str, select: exp.Select, condition: exp.Expression) -> Edit:
    where = select.args.get("where")
    whole = condition if where is None else exp.and_(exp.paren(where.this.copy()), condition)
    return Edit(operator=operator, node=select, argument="where", value=exp.Where(this=whole))
