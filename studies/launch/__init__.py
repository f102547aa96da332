"""Making a study, running it and going on with it: its prior, the run, and what is discarded.

May import `study`, `results`, `report` and `texts`.
"""
