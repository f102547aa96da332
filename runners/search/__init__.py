"""The search of a study: the coordinator, and what it keeps, checks and times.

May import everything else in `runners`, but for `compression` and `verification`.
"""
