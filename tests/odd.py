"""Odd arguments for property tests, and the form that errors about them must have."""

import os
import re
from decimal import Decimal

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies

CASES = int(os.environ.get("RNNJAX_CASES", "500"))
"""Number of cases over all property tests; `RNNJAX_CASES=20000` searches longer."""

ODD = (
    None, True, False, np.bool_(True), "", "adam", "gaussian", "a|b\n<b>", "x" * 1000, b"x",
    object(), Decimal("0.5"), 1j, np.complex64(1), np.datetime64("2020-01-01"), jax.random.key(0),
    -1, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**63, 10**400, 10**5000, np.int8(3), np.int64(3),
    np.uint64(2**63), 0.0, -0.0, 0.25, 1.0, 2.5, -0.5, 1e-320, 1e-200, 1e200, 1e308, np.nan,
    np.inf, -np.inf, np.float16(0.5), np.float32(0.1), np.float64(2), np.longdouble(1) / 3,
    np.float32("nan"), (), [], [1], (2, 4), [0.1, 0.2], ["adam", "sgd"], [None], [[1], [2, 3]],
    {}, {"a": 1}, {1: 2}, {1, 2}, range(3), frozenset({1}), np.array(3), np.array(0.5),
    np.array([1, 2, 3]), np.array([]), np.array([0.1, 0.2], ">f8"), np.ones((2, 2)),
    np.ma.array([1, 2], mask=[0, 1]), np.ma.masked, np.array([1, None]), np.array(["a"]),
    np.array([1j]), jnp.arange(1, 4), jnp.float32(0.5), jnp.ones((2, 2)),
)  # fmt: skip
"""Values of every type that an argument may be given by mistake, and some valid ones."""

odd_values = strategies.sampled_from(ODD)


def cases(share):
    """Settings of a test with its `share` of all cases, the same in every run."""
    return hypothesis.settings(
        max_examples=max(int(share * CASES), 1),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )


def assert_names(error, names):
    """Checks that the message is one line that begins with one of the `names`."""
    text = str(error)
    if isinstance(error, TypeError):  # raised by Python for an argument that does not exist
        assert "argument" in text, text
        return
    assert "\n" not in text and len(text) < 2000, text
    beginning = re.match(r"([^:]{1,80}): \S", text)
    assert beginning, text
    assert set(re.findall(r"\w+", beginning[1])) & set(names), text
