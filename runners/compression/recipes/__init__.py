"""Recipes of a network: their steps, what they come to, and what they have found.

May import `config`.
"""
