"""What happens to a call for help while the database is away (docs/decisions/0019-accepting.md).

A *case* is one alert as it runs without a record: its signals, who was paged and how that went, how far it has
escalated, who took it. It is kept by a quorum of NATS servers (`stream`), else on this replica's own disk (`journal`),
paged from memory meanwhile (`paging`), and written into the record once, when the database is back (`completing`),
beside all else (`backlog`). Whoever called sees meanwhile how far help has come (`callers`). An alert that the record
had is claimed before anybody acts on it without the record (`claims`).
"""
