"""What a terminal shows while something runs.

May import `cli.options`.
"""
