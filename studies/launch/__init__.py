"""Starting a study, and ending it: its prior, the run, and what is discarded.

May import `study`, `results` and `report`.
"""
