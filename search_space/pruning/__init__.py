"""Channels that can be removed from a graph, and networks from which some were removed.

May import `graph`, `spec` and `errors`.
"""
