"""Tables and queries. Every function takes the transaction."""
