"""When somebody is told: rules, what is usual, states, and who is told how."""
