"""Version of what an accuracy depends on besides a configuration."""

CONVENTIONS = 3
"""Version of how images are normalised, tensors quantized and accuracies measured: of what an accuracy depends on
besides a configuration.

To be raised when that changes. Weights, recipes and studies of another version are refused, not mixed.
"""
