"""The report of a study, and what is said at its end.

May import `results`, `analysis`, `figures` and `texts`.
"""
