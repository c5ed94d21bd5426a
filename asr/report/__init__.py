"""Error analysis: what a model gets wrong, for whom, how sure it was, and how it compares with another.

The statistics need numpy only; the page and its pictures need the extra ``report``.
"""
