"""Multiply-accumulates of one inference."""

from search_space.graph import Graph

from ..base import cost


@cost("macs", label="MACs", unit="MACs")
def macs(graph: Graph) -> int:
    """Sum over convolutions and linear layers of weights x output positions; bias, norm and pooling ignored.

    fvcore calls this "flops" and adds batch-norm and pooling unless told not to; torch's counter gives twice as much.
    """
    return sum(node.macs for node in graph.nodes)
