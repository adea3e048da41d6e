import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The models of these tests are too small for more, and tests run side by side."""
    import torch

    torch.set_num_threads(1)
