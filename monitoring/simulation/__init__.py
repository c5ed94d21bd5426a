"""Simulated people, rhythms and incidents: traffic to test and to show monitoring with."""
