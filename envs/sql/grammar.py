"""A Lark grammar, in llguidance's dialect, of the SELECT statements over one SQLite database.

Covers joins, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, set operations, subqueries, common table expressions, CASE, CAST,
window functions and the functions that the executor allows. Tables and columns are those of the database. Names that a
query makes up itself are held apart: every rule comes in two kinds, ``known`` and ``any``, and only where something can
have introduced a name (an alias in the select list, a derived table, WITH) do the clauses that may use it take ``any``.
A context-free grammar cannot go further: which alias was introduced, and which column belongs to which table, it leaves
to the database. VALUES, window frames and comments are left out.

White space belongs to the terminals, because llguidance's lexer does not back up: each terminal can be told from every
other by what it starts with.
"""

from functools import lru_cache
from pathlib import Path

from envs.grammar import Grammar
from envs.sql.authorizer import FUNCTIONS
from envs.sql.connections import FileIdentity
from envs.sql.schema import JOIN_WORDS, RESERVED, identity_of, is_plain_name, quoted, read_schema

_ALIAS_STOPS = RESERVED | JOIN_WORDS | frozenset({"asc", "by", "desc", "end", "glob", "like", "offset", "window", "with"})

# Written once for the two kinds of names: {k} becomes "known" and "any".
_RULES = r"""
# ---- queries; {k} -> which names their expressions take
core_{k}: SELECT items_{k} (FROM_{FW} sources_{k} where_{k}? group_{k}?)?
where_{k}: WHERE expression_{k}
group_{k}: GROUP_BY expressions_{k} (HAVING expression_{k})? | HAVING expression_{k}
items_{k}: item_{k} (COMMA item_{k})*
item_{k}: STAR | QUALIFIER STAR | expression_{k} | named_{k}
named_{k}: expression_{k} (AS alias | SPACE ALIAS)
order_{k}: ORDER_BY ordering_{k} (COMMA ordering_{k})*
ordering_{k}: expression_{k} COLLATE? DIRECTION? NULLS?
limit_{k}: LIMIT value_{k} ((OFFSET | COMMA) value_{k})?
sources_{k}: source_{k} ((COMMA | JOIN) source_{k} join_condition_{k}?)*
join_condition_{k}: ON expression_{k} | USING OPEN name_{k} (COMMA name_{k})* CLOSE
"""
