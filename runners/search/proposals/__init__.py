"""Which networks a study tries: what it begins with, what the sampler proposes, and random ones within the limits.

May import `config`, `trial_record`, `samplers`, `storage`, and the files of `search` but the coordinator.
"""
