"""Recipes: how an architecture becomes a trained, pruned and quantized network, step by step.

A proxy training is a recipe too. May import `training`, `quantization`, `network_weights` and `storage`.
"""
