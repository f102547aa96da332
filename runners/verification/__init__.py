"""Checks that two programs agree on a network: on its counts, its outputs, and the files that are written of it.

`comparison` is the one place that says when two runs of a network are the same, `files` holds exported files against
torch, `onnx_files` runs ONNX files, and `counts` holds MACs and parameters against fvcore and torch. May import
`deploy`, `evaluate`, `images` and `quantization` of `runners`.
"""
