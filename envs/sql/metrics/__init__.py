"""The official text-to-SQL metrics of Spider and BIRD as pure functions: what published tables are computed with."""
