"""Every check returns the value as plain data, or raises an error with name and value."""

import inspect
import math
import re

import numpy as np
import pandas as pd
import pytest

from rnnjax import validate


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (validate.whole, 0, 0),
        (validate.positive_integer, np.int64(3), 3),
        (validate.finite_positive, 1, 1.0),
        (validate.finite_positive, np.float32(0.5), 0.5),
        (validate.positive_single, 1, 1.0),
        (validate.seed, np.int32(7), 7),
        (validate.fraction, 0, 0.0),
        (validate.fraction, 1, 1.0),
        (validate.nonnegative, 0, 0.0),
        (validate.nonnegative_single, 0, 0.0),
        (validate.nonnegative_single, np.float32(3e-5), float(np.float32(3e-5))),
        (validate.positive_single, np.finfo(np.float32).max, float(np.finfo(np.float32).max)),
        (validate.flag, False, False),
    ],
)
def test_valid_values(check, value, expected):
    got = check("size", value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (validate.whole, (-1, 1.0, True, "3", None, math.nan)),
        (validate.positive_integer, (0, -2, 2.0, False)),
        (validate.finite_positive, (0, -1.0, math.nan, math.inf, True, "1", None)),
        (validate.finite_positive, (10**400,)),
        (validate.positive_single, (0.0, -1.0, math.nan, 1e39, 3.4028236e38, 1e-39, "1")),
        (validate.nonnegative_single, (-1.0, math.nan, 1e39, 1e-39, True)),
        (validate.seed, (-1, 2**31, 0.5, True)),
        (validate.fraction, (-0.1, 1.1, math.nan, None)),
        (validate.nonnegative, (-0.1, math.nan, math.inf, True, "0")),
        (validate.flag, (0, 1, "True", None)),
        (validate.path_of, (5, None, b"x")),
        (validate.expanded, ("~nobody_at_all/x",)),
    ],
)
def test_invalid_values(check, values):
    for value in values:
        with pytest.raises(ValueError, match=re.escape(f"got {value!r}")) as error:
            check("size", value)
        assert str(error.value).startswith("size: expected ")


def test_every_check_is_public():
    functions = inspect.getmembers(validate, inspect.isfunction)
    others = {"MOST", "PlainFields"}
    assert {name for name, _ in functions if name[0] != "_"} == {*validate.__all__} - others


def test_a_sequence_of_pandas_has_no_mask():
    assert validate.sequence("seeds", pd.Series([3, 4])) == (3, 4)
    for masked in (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2])):
        with pytest.raises(ValueError, match="seeds: expected a sequence without a mask"):
            validate.sequence("seeds", masked)


def test_an_instance_of_another_class_is_an_error():
    assert validate.instance_of("task", 3, int) == 3
    with pytest.raises(ValueError, match=r"^task: expected a str, got 3$"):
        validate.instance_of("task", 3, str)


def test_an_open_fraction_excludes_zero():
    assert validate.fraction("alpha", 1, open_below=True) == 1
    with pytest.raises(ValueError, match=r"alpha: expected a number in \(0, 1\], got 0"):
        validate.fraction("alpha", 0, open_below=True)


def test_the_error_for_an_unknown_name_suggests_the_nearest():
    assert validate.one_of("task", "flip_flop", ("flip_flop", "sine")) == "flip_flop"
    with pytest.raises(ValueError, match=r"task: .*'flipflop' \(did you mean 'flip_flop'\?\)"):
        validate.one_of("task", "flipflop", ("flip_flop", "sine"))
    with pytest.raises(ValueError, match=r"expected one of flip_flop, sine, got 'qqq'$"):
        validate.one_of("task", "qqq", ("flip_flop", "sine"))
