"""What a sampler predicts with: Gaussian processes over features of candidates, and the transformation of losses.

May import nothing else of `samplers`.
"""
