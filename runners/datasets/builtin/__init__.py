"""The data sets, one file each; `@dataset` registers their loaders.

May import the files of `datasets` and `formats`.
"""
