"""What holds for every test: small networks on one thread, so that test processes do not fight over the cores."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Before each test again: commands that train set the number for their process, which is that of the tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def one_thread_in_fixtures() -> None:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that none of them begins when the rest is done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
