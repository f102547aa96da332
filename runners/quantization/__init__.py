"""Quantized networks in torch: simulated in float arithmetic, taken back to float, or quantized further.

May import `training.batches`.
"""
