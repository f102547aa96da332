"""Costs of a network, one file each: `@cost` registers what the graph determines, `latency_ms` what devices do.

May import `objectives.base`, `objectives.devices` and `objectives.latency`.
"""
