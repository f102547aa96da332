"""Figures that compare trained networks: across devices, on equal terms, step by step.

May import the files of `figures` and `analysis`.
"""
