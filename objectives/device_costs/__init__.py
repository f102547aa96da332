"""Costs that depend on a device, one file each: measured on one at hand, or estimated from a profile.

May import `base`, `latency` and `devices`.
"""
