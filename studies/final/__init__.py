"""How does a network become the one that ships? What the user asks for, the job on disk, its card and its report.

`request.py` turns options into a recipe, `job.py` runs it in a directory that can be resumed, `directory.py` writes
what the user takes home.
"""
