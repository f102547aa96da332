"""How are candidates trained, measured and chosen? Data sets, proxy training, quantization, coordinator, workers.

May import `search_space` and `objectives`; never `studies`.
"""
