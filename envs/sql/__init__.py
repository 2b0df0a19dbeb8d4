"""Tasks whose answer is a query that a database executes."""
