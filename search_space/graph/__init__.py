"""What a network is made of: an immutable graph of operators, with inferred shapes and given bit-widths.

Everything else follows from it: the trainable module and the exported files (`backends`), and the exact costs (package
`objectives`). `GraphBuilder` is the only way to make one. No torch is imported here. May import `errors`.
"""

from .builder import GraphBuilder
from .nodes import (
    ACTS,
    BITS,
    FLOAT_BITS,
    HEAD,
    STEM,
    Act,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    MovesOnly,
    Multiply,
    Node,
    Operator,
    Ref,
    Scope,
    Shape,
    Slice,
    Weighted,
)

__all__ = [
    "ACTS",
    "BITS",
    "FLOAT_BITS",
    "HEAD",
    "STEM",
    "Act",
    "Add",
    "ChannelShuffle",
    "Concat",
    "Conv",
    "GlobalPool",
    "Graph",
    "GraphBuilder",
    "Input",
    "Linear",
    "MaxPool",
    "MovesOnly",
    "Multiply",
    "Node",
    "Operator",
    "Ref",
    "Scope",
    "Shape",
    "Slice",
    "Weighted",
]
