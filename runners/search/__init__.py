"""The search of a study: the coordinator, and what it keeps, checks and times.

The rules for one trial (rejected, duplicate, tried again, stopped, completed) are in `lifecycle`.

May import everything else in `runners`, but for `networks` and `verification`.
"""
