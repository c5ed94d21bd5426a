"""What happened in a stretch of time, against the one before it: a page for a meeting, and the same as JSON."""
