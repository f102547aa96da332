"""Answers from finished trials: which network to take, how two differ, how far a proxy can be trusted.

May import `results`, `texts` and `study`.
"""
