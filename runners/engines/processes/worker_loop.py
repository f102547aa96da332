"""What a worker process does: it waits for tasks, and sends back what they give."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from .worker_start import start_worker

IS_READY = b"ready"
HAS_BEGUN = b"begun"


def device_of(device: str, slot: int) -> str:
    """The device of a worker's slot: 'cuda' is shared out over the GPUs that there are."""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{slot % max(1, torch.cuda.device_count())}"


def work(
    connection: Connection, threads: int, environment: dict[str, str], on_start: Callable[[], None] | None
) -> None:
    """Do tasks until the pool closes the connection."""
    start_worker(threads, environment)
    if on_start is not None:
        on_start()
    with suppress(EOFError, OSError):
        connection.send_bytes(IS_READY)
        while True:
            task = pickle.loads(connection.recv_bytes())
            connection.send_bytes(HAS_BEGUN)
            connection.send_bytes(_do(task))


def _do(task: Callable[[], Any]) -> bytes:
    """Return what the task returns or raises, pickled."""
    try:
        return pickle.dumps(task())
    except Exception as error:
        with suppress(Exception):
            message = pickle.dumps(error)
            pickle.loads(message)  # some exceptions can only be written
            return message
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
