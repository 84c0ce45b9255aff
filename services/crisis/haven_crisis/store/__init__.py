"""Tables and queries, in plain SQL: the crisis path has no time for more. Every function takes the transaction."""
