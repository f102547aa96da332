"""The rule for the bit-widths of the first and of the last layer."""

MIN_EDGE_BITS = 8


def edge_bits(bits: int) -> int:
    """Return the bits of the first or the last layer in a network whose layers next to it have `bits`."""
    return max(MIN_EDGE_BITS, bits)
