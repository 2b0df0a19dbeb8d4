"""Makes a database fit for queries of a model: a role that may read its tables, and nothing else.

    python -m envs.sql.databases.postgres_role postgresql://postgres@host/music --role reader --schema public

Run it once as a superuser, and again after tables were added. Everything is done in one transaction. The role is
created if it does not exist, without a password: set one (``\\password reader`` in psql), or let pg_hba.conf admit it.

What is revoked, is revoked from PUBLIC, that is from every role of this one database but superusers: calling functions
and reading catalogues that are not listed in ``postgres_functions.py``, and creating objects. Let the database be one
that only holds tasks. Other databases of the server are not touched; the role may still connect to those that admit
everybody, which no query can make it do.

The memory that a server process takes is bounded by PostgreSQL for sorts and hashes, not for one large value: start the
server under a limit (``ulimit -v``, or systemd's MemoryMax).
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from envs.sql.databases.postgres_privileges import ALLOWED_FUNCTION, PARAMETERS, SCRATCH_SUFFIX

DISK_FOR_TEMPORARY_FILES = "256MB"

_FORBIDDEN_FUNCTIONS = f"""
SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE NOT ({ALLOWED_FUNCTION})
  AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
              WHERE grantee IN (0, to_regrole(quote_ident(%(role)s)), to_regrole(quote_ident(%(scratch_role)s))))
"""
_FORBIDDEN_CATALOGUES = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname != ALL(%(catalogues)s)
"""
_GROUPS = """
SELECT group_role.rolname, me.rolname FROM pg_auth_members AS m
JOIN pg_roles AS group_role ON group_role.oid = m.roleid JOIN pg_roles AS me ON me.oid = m.member
WHERE me.rolname IN (%(role)s, %(scratch_role)s)
"""
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm')
"""
_OTHER_SCHEMAS = r"""
SELECT nspname FROM pg_namespace
WHERE nspname NOT LIKE 'pg\_%%' AND nspname != 'information_schema' AND nspname != ALL(%s)
"""


def make_reader(connection: "psycopg.Connection[Any]", role: str, schemas: Sequence[str]) -> None:
    """Creates ``role``, or takes from it what it should not have, in the database of ``connection``.

    Args:
        connection: a superuser's; what is done is done in its transaction.
        schemas: where the tables are that may be read, in the order of the role's search path.

    Raises:
        psycopg.Error: something is missing; nothing has been done.
    """
    with connection.transaction():
        for name, may_log_in in ((role, "LOGIN"), (role + SCRATCH_SUFFIX, "NOLOGIN")):
            exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None
            attributes = f"{may_log_in} NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"
            _run(connection, ("ALTER" if exists else "CREATE") + " ROLE {} WITH " + attributes, name)
        _revoke_from_everybody(connection, role)
        _leave_only_reading(connection, role, schemas)
        _run(connection, "GRANT {} TO {}", role + SCRATCH_SUFFIX, role)


def _revoke_from_everybody(connection: "psycopg.Connection[Any]", role: str) -> None:
    parameters = {**PARAMETERS, "role": role, "scratch_role": role + SCRATCH_SUFFIX}
    everyone = (sql.Identifier(role), sql.Identifier(role + SCRATCH_SUFFIX))
    for (function,) in connection.execute(_FORBIDDEN_FUNCTIONS, parameters).fetchall():
        name = sql.SQL(function)  # with its arguments, quoted by the server
        _run(connection, "REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC, {}, {}", name, *everyone)
    for (catalogue,) in connection.execute(_FORBIDDEN_CATALOGUES, parameters).fetchall():
        _run(connection, "REVOKE ALL ON TABLE {} FROM PUBLIC, {}, {}", sql.SQL(catalogue), *everyone)
    for group, member in connection.execute(_GROUPS, parameters).fetchall():
        _run(connection, "REVOKE {} FROM {}", group, member)
    _run(connection, "REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC", connection.info.dbname)


def _leave_only_reading(connection: "psycopg.Connection[Any]", role: str, schemas: Sequence[str]) -> None:
    everyone = [sql.SQL("PUBLIC"), sql.Identifier(role), sql.Identifier(role + SCRATCH_SUFFIX)]
    others = [name for (name,) in connection.execute(_OTHER_SCHEMAS, [list(schemas)]).fetchall()]
    for schema in (*schemas, *others):
        for grantee in everyone:
            _run(connection, "REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}", schema, grantee)
            _run(connection, "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {} FROM {}", schema, grantee)
            _run(connection, "REVOKE ALL ON ALL ROUTINES IN SCHEMA {} FROM {}", schema, grantee)
            _run(connection, "REVOKE ALL ON SCHEMA {} FROM {}", schema, grantee)
    for schema in schemas:
        _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, role)
    for schema, table in connection.execute(_TABLES, [list(schemas)]).fetchall():
        connection.execute(
            sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(schema, table), sql.Identifier(role))
        )
    database = connection.info.dbname
    _run(connection, "REVOKE ALL ON DATABASE {} FROM {}", database, role)
    _run(connection, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", database, role)
    path = sql.SQL(", ").join(map(sql.Identifier, schemas))
    _run(connection, "ALTER ROLE {} IN DATABASE {} SET search_path = {}", role, database, path)
    limit = sql.Literal(DISK_FOR_TEMPORARY_FILES)
    _run(connection, "ALTER ROLE {} IN DATABASE {} SET temp_file_limit = {}", role, database, limit)


def _run(connection: "psycopg.Connection[Any]", statement: str, *parts: "str | sql.Composable") -> None:
    names = [sql.Identifier(part) if isinstance(part, str) else part for part in parts]
    connection.execute(sql.SQL(statement).format(*names))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("administrator", help="connection string of a superuser, to the database of the tasks")
    parser.add_argument("--role", required=True, help="the role that queries will run as")
    parser.add_argument("--schema", nargs="+", default=["public"], help="what it may read (default: public)")
    options = parser.parse_args(arguments)
    try:
        with psycopg.connect(options.administrator) as connection:
            make_reader(connection, options.role, options.schema)
            name = connection.info.dbname
    except psycopg.Error as error:
        print(f"nothing was changed: {error}", file=sys.stderr)
        return 2
    print(f"role '{options.role}' may read {', '.join(options.schema)} of database '{name}', and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
