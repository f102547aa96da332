"""How many cores may this process use?"""

import os


def usable_cores() -> int:
    """Those that it is bound to, where the system says so (Linux), else all of the host."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
