"""The limits that a reader sets: as values, and as rows of sliders and fields.

May import `figures`, `results`, `analysis` and `texts`.
"""
