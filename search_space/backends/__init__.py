"""What runs a graph: a torch module and ONNX files, and the numbers that fill either.

May import `graph` and `spec`. torch and onnx are imported by the files that need them alone.
"""
