"""The hash of weights."""

import torch

from merit.training.results.weights import weights_sha256


def test_the_hash_of_weights_depends_on_every_value():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    assert weights_sha256(one.state_dict()) == weights_sha256(other.state_dict())
    other.bias.data[0] += 1
    assert weights_sha256(one.state_dict()) != weights_sha256(other.state_dict())
