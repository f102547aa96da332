"""Readers of the file formats in which data sets come.

May import the files of `datasets`.
"""
