"""A study on disk: its configuration, its record, its database, and the networks of files.

May import `texts`.
"""
