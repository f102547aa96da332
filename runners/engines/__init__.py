"""Engines, which evaluate candidates: the interface that the coordinator sees, and worker processes behind it.

May import `config`, `candidate` and `evaluate`.
"""
