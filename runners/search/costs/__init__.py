"""Costs of candidates: computed or timed, held against the limits, and drawn at random within these.

May import `config`, `trial` and `storage`.
"""
