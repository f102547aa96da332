"""Texts from and for users: bounded readers of JSON and TOML, and counts in words.

May import `errors`.
"""
