"""Counts by the minute: made of records and outcomes, kept, coarser with age, and summed over any stretch of time."""
