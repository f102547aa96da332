"""Commands about networks outside of a study: costs, latencies, training, compression, comparison.

May import the files of `cli` and `terminal`.
"""
