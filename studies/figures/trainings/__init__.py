"""Figures of trainings: learning curves of a run, what each step costs, and short against long trainings.

May import the files of `figures`, and `analysis`.
"""
