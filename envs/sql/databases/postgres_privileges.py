"""What the role of a session may do beyond reading: asked of the server, when a connection is opened.

The server enforces privileges whatever a query's text looks like; there is no check of the text that could be fooled.
"""

import psycopg

from envs.sql.databases.execution import DatabaseFaultError
from envs.sql.databases.postgres_functions import CATALOGUES, FUNCTIONS

FIRST_OID_OF_USERS = 16384
"""Everything below came with the server; a function that an extension adds to pg_catalog is above."""

# Of pg_proc AS p. What takes arguments of the server's internals is called by itself only.
ALLOWED_FUNCTION = """
p.oid < %(first_oid)s AND 'internal'::regtype != ALL(p.proargtypes::oid[])
  AND (p.pronamespace = 'information_schema'::regnamespace
    OR p.pronamespace = 'pg_catalog'::regnamespace AND (p.proname = ANY(%(functions)s)
      OR p.oid IN (SELECT oprcode FROM pg_operator UNION ALL SELECT castfunc FROM pg_cast
                   UNION ALL SELECT amproc FROM pg_amproc)))
"""
PARAMETERS = {
    "first_oid": FIRST_OID_OF_USERS,
    "functions": sorted(FUNCTIONS),
    "catalogues": sorted(CATALOGUES),
}
SCRATCH_SUFFIX = "_scratch"
"""A reader NAME may become NAME_scratch, which may read nothing but temporary tables that NAME grants it."""

_EXCESS = {
    "it is a superuser, or may replicate, pass row security, or create roles or databases": """
SELECT rolname FROM pg_roles WHERE rolname = current_user
  AND (rolsuper OR rolreplication OR rolbypassrls OR rolcreaterole OR rolcreatedb)""",
    "it is a member of": """
SELECT group_role.rolname FROM pg_auth_members AS m
JOIN pg_roles AS group_role ON group_role.oid = m.roleid JOIN pg_roles AS me ON me.oid = m.member
WHERE me.rolname = current_user AND group_role.rolname != current_user || %(scratch_suffix)s""",
    "it may call": f"""
SELECT DISTINCT p.proname FROM pg_proc AS p
WHERE has_function_privilege(p.oid, 'EXECUTE') AND NOT ({ALLOWED_FUNCTION})""",
    "it owns, or may write": """
SELECT c.relname FROM pg_class AS c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence != 't' AND (pg_has_role(c.relowner, 'MEMBER')
  OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
  OR c.relkind != 'S' AND has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES')
  OR c.relkind = 'S' AND has_sequence_privilege(c.oid, 'USAGE, UPDATE'))""",
    "it may read": """
SELECT c.relname FROM pg_class AS c
WHERE (c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'pg_catalog'::regnamespace
  AND c.relname != ALL(%(catalogues)s) OR c.relkind = 'f' AND has_schema_privilege(c.relnamespace, 'USAGE'))
  AND has_any_column_privilege(c.oid, 'SELECT')""",
    "it may use the schema": """
SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE') AND oid != pg_my_temp_schema()
  AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname != ALL(current_schemas(false))""",
    "it may create something in": """
SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE') AND oid != pg_my_temp_schema()
UNION ALL SELECT current_database() WHERE has_database_privilege(current_database(), 'CREATE')""",
}


def check_privileges(connection: "psycopg.Connection[tuple[str, ...]]", database_name: str) -> None:
    """Refuses a role that may do more than it needs.

    Raises:
        DatabaseFaultError: what it may do, and what to run.
        psycopg.Error: the server cannot be asked.
    """
    (role,) = connection.execute("SELECT current_user").fetchone() or ("",)
    for excess, query in _EXCESS.items():
        parameters = {**PARAMETERS, "scratch_suffix": SCRATCH_SUFFIX}
        try:
            found = [name for (name,) in connection.execute(query, parameters).fetchall()]
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseFaultError(
                f"the privileges of role '{role}' cannot be read: {error}; {remedy(role)}"
            ) from error
        if found:
            shown = ", ".join(sorted(found)[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise DatabaseFaultError(
                f"role '{role}' is too powerful for queries of a model on '{database_name}': {excess} {shown}; "
                f"{remedy(role)}"
            )


def remedy(role: str) -> str:
    """What an administrator has to do."""
    name = role.removesuffix(SCRATCH_SUFFIX)
    return (
        f"let an administrator run: python -m envs.sql.databases.postgres_role ADMINISTRATOR_DSN --role {name} "
        "(another name where this role is needed for other things), and connect as that role"
    )
