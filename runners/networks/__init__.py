"""Networks that are trained once, whoever asks for them, and kept: references and teachers.

May import `recipes`, `engines`, `datasets` and `storage`.
"""
