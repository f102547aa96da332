"""The proxy training of a network: images in batches, the loop over epochs, and what changes along the way.

May import `config`, `candidate` and `datasets`.
"""
