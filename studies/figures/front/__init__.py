"""The figure of the Pareto front: what it shows, and how it is drawn.

May import the files of `figures`.
"""
