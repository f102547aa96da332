"""The trainings that make a chosen network: recipes of training, pruning and quantization, step by step.

May import `training`, `quantization`, `datasets`, `engines` and `storage`.
"""
