"""Predictions of measured latencies: kernels of a graph, and regressors on their times that a calibration fits.

May import `objectives.latency`, but for what opens devices.
"""
