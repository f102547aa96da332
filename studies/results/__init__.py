"""The trials of a study as tables that figures, report, dashboard and command line read.

May import `study` and `texts`.
"""
