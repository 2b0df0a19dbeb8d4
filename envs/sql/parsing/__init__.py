"""What the text of a query and the schema alone tell: its names, its canonical form, its clauses."""
