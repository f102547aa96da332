"""Wording that all outputs share, and strict JSON.

May import nothing else of `studies`.
"""
