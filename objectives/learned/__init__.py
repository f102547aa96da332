"""Objectives that only a training can tell, one file each.

May import `objectives.base`.
"""
