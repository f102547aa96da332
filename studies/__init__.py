"""What does a user launch and look at? Configuration, command line, results, figures, report, export.

May import every other package; none imports this one.
"""
