"""Clickstream files -> sessions, split by time: `session-rec prepare`.

`ingest` reads events, `cut` makes sessions of them, `clean` splits and filters, `write` leaves the
files, `report` says what was dropped and why; `job` runs them in this order in `engine`, DuckDB.
"""
