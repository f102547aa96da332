"""Checks that two programs agree on a network: on its counts, its layers, its answers, and the files written of it.

`layer_comparison` compares what each layer computes, `answer_agreement` the answers on images; `check_files` holds
exported files against torch, `onnx_files` runs ONNX files, `torch_export` writes torch programs, and `counts` holds
MACs and parameters against fvcore and torch. May import `evaluate`, `quantization` and `training`.
"""
