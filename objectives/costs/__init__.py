"""Costs of a network that its graph determines, one file each, registered by `@cost`.

May import `objectives.base`.
"""
