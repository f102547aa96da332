"""Commands about studies: search, list, look, recommend, export.

May import the files of `cli` and `terminal`.
"""
