"""Which names a SELECT may write at each place: the tracker of scopes that narrows the SQL grammar."""
