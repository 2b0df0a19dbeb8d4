"""The notation of canonical text: names, texts, comparisons and chains of AND and OR."""

from collections.abc import Iterator

from sqlglot import exp

SYMBOLS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
NEGATED_SYMBOLS = {exp.EQ: "<>", exp.NEQ: "=", exp.LT: ">=", exp.LTE: ">", exp.GT: "<=", exp.GTE: "<"}
"""What a comparison becomes under NOT; unknown stays unknown."""
_MIRRORED = {">": "<", ">=": "<="}


def quoted_text(text: str) -> str:
    """A text literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """A name, in quotes unless it is plain."""
    return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'


def compared(symbol: str, left: str, right: str) -> str:
    """A comparison in its canonical orientation."""
    # Of two explicit collations the left one counts, so that such sides stay where they are.
    if "Collate(" not in left or "Collate(" not in right:
        if symbol in _MIRRORED:
            symbol, left, right = _MIRRORED[symbol], right, left
        elif symbol in ("=", "<>") and right < left:
            left, right = right, left
    return f"({left} {symbol} {right})"


def connected(word: str, texts: list[str]) -> str:
    """A chain of AND or OR."""
    return f"({f' {word} '.join(sorted(texts))})"


def ordered_text(text: str, ordered: exp.Expr) -> str:
    """A term of ORDER BY with its direction; sqlglot has filled in where the dialect puts NULLs."""
    direction = " DESC" if ordered.args.get("desc") else ""
    return f"{text}{direction}{' NULLS FIRST' if ordered.args.get('nulls_first') else ''}"


def operands(node: exp.Expr, kind: type[exp.Expr]) -> Iterator[exp.Expr]:
    """The operands of a chain of AND or OR, from the left; without recursion, because chains can be long."""
    pending = [node]
    while pending:
        part = pending.pop()
        while type(part) is exp.Paren:
            part = part.this
        if type(part) is kind:
            pending += (part.expression, part.this)
        else:
            yield part
