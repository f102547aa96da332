"""Bit operations of one inference."""

from search_space.graph import Graph

from ..base import cost


@cost("bops", label="BOPs", unit="bit operations")
def bops(graph: Graph) -> int:
    """Sum over convolutions and linear layers of MACs x weight bits x bits of the input activation.

    Baskin et al. 2018, UNIQ, sec. 4.2, without the accumulator's term.
    """
    nodes = graph.nodes
    return sum(node.macs * node.bits * nodes[node.inputs[0]].bits for node in nodes if node.inputs)
