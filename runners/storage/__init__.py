"""Files of a study on disk: database, lock, weights and heartbeat, and errors of storage as one line.

May import nothing else of `runners`.
"""
