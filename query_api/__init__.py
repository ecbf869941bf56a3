"""Store in, answers out: the query API on port 8107."""
