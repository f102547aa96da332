"""The acquisition function: the expected gain over budgets, from what is known and predicted of candidates.

May import `models`, `knowledge`, `candidates` and `history`.
"""
