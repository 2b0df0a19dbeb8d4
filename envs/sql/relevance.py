"""How much each table of a schema has to do with a question, by the words that they share. A heuristic (ours).

    relevance(t) = sum over the words w of question and evidence that occur in t of  weight(w, t) / tables with w
    weight = 3 where w is a word of the table's name, 2 where it is a sample value, 1 where it is a word of a column's
             name or of a description

Words are compared without case and plural endings; ``CamelCase`` and ``snake_case`` are taken apart. A table that a
foreign key ties to one that the question names gets half of that one's relevance: joins need it.

Not covered: synonyms. What the question does not spell is found by its neighbours only.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from envs.sql.databases.schema import Table
from envs.sql.schema import Samples

_NAME_WEIGHT, _VALUE_WEIGHT, _COLUMN_WEIGHT = 3.0, 2.0, 1.0
_NEIGHBOUR_SHARE = 0.5
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")
# Words that say nothing about which table is meant.
_STOP_WORDS = frozenset(
    """
    a all an and any are as at by did do does each every find for from give have has how in is it its list many me more
    most much name no not number of on or return show than that the their them there these this to total was were what
    when where which who whose with
    """.split()
)


def words_of(text: str) -> frozenset[str]:
    """The words of a text or a name, in lower case and without plural endings."""
    return frozenset(_stem(word.lower()) for word in _WORD.findall(text)) - _STOP_WORDS


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def relevances(
    question: str, tables: Sequence[Table], samples: Samples, descriptions: Mapping[str, str]
) -> dict[str, float]:
    """Relevance by table name, for one question (with its evidence)."""
    asked = words_of(question)
    found = {table.name: _weights(table, samples, descriptions, asked) for table in tables}
    spread = Counter(word for weights in found.values() for word in weights)
    own = {name: sum(weight / spread[word] for word, weight in weights.items()) for name, weights in found.items()}
    neighbours: dict[str, set[str]] = {table.name: set() for table in tables}
    names = {table.name.lower(): table.name for table in tables}
    for table in tables:
        for key in table.foreign_keys:
            target = names.get(key.table.lower())
            if target is not None and target != table.name:
                neighbours[table.name].add(target)
                neighbours[target].add(table.name)
    return {
        name: own[name] + _NEIGHBOUR_SHARE * max((own[other] for other in neighbours[name]), default=0.0)
        for name in own
    }


def _weights(
    table: Table, samples: Samples, descriptions: Mapping[str, str], asked: frozenset[str]
) -> dict[str, float]:
    weights: dict[str, float] = {}

    def note(text: str, weight: float) -> None:
        for word in words_of(text) & asked:
            weights[word] = max(weight, weights.get(word, 0.0))

    note(table.name, _NAME_WEIGHT)
    note(descriptions.get(table.name.lower(), ""), _COLUMN_WEIGHT)
    for column in table.columns:
        note(column.name, _COLUMN_WEIGHT)
        note(descriptions.get(f"{table.name}.{column.name}".lower(), ""), _COLUMN_WEIGHT)
        for value in samples.get((table.name, column.name), ()):
            if isinstance(value, str):
                note(value, _VALUE_WEIGHT)
    return weights
