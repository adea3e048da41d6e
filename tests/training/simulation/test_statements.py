"""Which statements are drawn and can be simulated together."""

import numpy as np
import pytest

from merit.training.simulation.parameters import sample_parameters
from merit.training.simulation.statements import STATEMENTS, are_compatible


def test_every_statement_is_drawn_and_only_compatible_ones_together():
    drawn = [sample_parameters(np.random.default_rng(seed)).statements for seed in range(1500)]
    assert {code for statements in drawn for code in statements} == set(STATEMENTS)
    assert all(are_compatible(statements) for statements in drawn)
    assert 0.25 < np.mean(["NORM" in statements for statements in drawn]) < 0.5
    assert max(len(set(statements) - {"SR"}) for statements in drawn) >= 3


def test_unknown_and_incompatible_statements_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cannot simulate WPW; the known statements are NORM"):
        sample_parameters(rng, ("WPW",))
    with pytest.raises(ValueError, match="AFIB, 1AVB cannot occur together"):
        sample_parameters(rng, ("AFIB", "1AVB"))
    with pytest.raises(ValueError, match="SR, AFIB cannot occur together"):
        sample_parameters(rng, ("SR", "AFIB"))
    with pytest.raises(ValueError, match="NORM, LVH: NORM cannot be combined"):
        sample_parameters(rng, ("NORM", "LVH"))
