"""Test suites: small databases that tell a gold query from queries that are nearly it."""
