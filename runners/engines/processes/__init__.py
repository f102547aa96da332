"""Worker processes of this machine: how they start, take tasks, report, stand still and end.

A dead worker is noticed by its pipe, one that hangs by `workers.trial_timeout_s`.

May import `engines.base`.
"""
