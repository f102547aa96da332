"""Networks compared with each other: across devices, and on equal terms after one common training.

May import `final`, `figures`, `analysis`, `results`, `study` and `texts`.
"""
