"""The verbs that the service brings to ``voicesearch``: serve, search, keys."""
