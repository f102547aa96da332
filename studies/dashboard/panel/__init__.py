"""The panel of one trial: its network, figures, learning curve and latencies.

May import the rooms of `studies`.
"""
