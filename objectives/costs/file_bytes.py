"""Bytes of the file that ships."""

from search_space.backends.onnx_size import onnx_bytes
from search_space.graph import Graph

from ..base import cost


@cost(
    "file_bytes",
    label="File size (bytes)",
    unit="bytes",
    note="the ONNX file that is exported, metadata included, within 1 %",
)
def file_bytes(graph: Graph) -> int:
    """Size of the ONNX file that an export ships: the int8 one below 32 bits, otherwise the one in float32.

    Metadata is included, and taken to be of a usual length. Below 8 bits the file does not get smaller, because its
    weights are stored as bytes.
    """
    return onnx_bytes(graph)
