"""What holds for every test: small networks on one thread, so that test processes do not fight over the cores."""

import os
import signal

import pytest
import torch

THREADS = int(os.environ.get("RESFRONT_TEST_THREADS", "1"))
"""One, but where `make test-kernels` asks for more."""


@pytest.fixture(autouse=True)
def few_threads() -> None:
    """Before each test again: commands that train set the number for their process, which is that of the tests."""
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="module", autouse=True)
def few_threads_in_fixtures() -> None:
    torch.set_num_threads(THREADS)


def pytest_configure() -> None:
    """Let Ctrl-C through: a shell starts background jobs deaf to it, and the processes of tests inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that none of them begins when the rest is done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
