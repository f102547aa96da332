"""Costs of candidates, computed or timed, and held against the limits.

May import `config`, `trial_record`, `storage` and `datasets.cache`.
"""
