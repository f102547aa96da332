"""Worker processes of this machine: how they start, take tasks, report, stand still and end.

May import `engines.base`.
"""
