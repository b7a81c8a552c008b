"""Clickstream files -> sessions, split by time: `session-rec prepare`.

`engine` is the database, `ingest` reads events, `cut` makes visits of them, `clean` splits and filters, `write` leaves the
files, `report` says what was dropped and why; `job` runs them in this order.
"""
