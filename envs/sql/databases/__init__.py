"""The databases that queries run on: SQLite, DuckDB and PostgreSQL behind one interface, each sealed and limited."""
