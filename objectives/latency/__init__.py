"""Latencies of networks: measured on this host or over ssh, and predicted after a calibration.

May import `search_space`, `objectives.devices` and `objectives.machine`. onnx and onnxruntime are imported only when
something is timed.
"""
