"""Rungs of growing trainings, and the forecast that stops a trial which cannot reach the front any more.

May import `config` and `trial_record`.
"""
