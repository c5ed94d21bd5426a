"""The tables of the event store: rows in and out, brought up to date, kept no longer than allowed."""
