"""``voicesearch monitor``, a file a verb."""
