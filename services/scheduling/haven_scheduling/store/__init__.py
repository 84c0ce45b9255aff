"""Queries; every function takes the transaction. The tables are what the migrations make."""
