import numpy as np
import pytest

from rnnjax.analysis import factor_trend
from rnnjax.studies.degeneracy.table1 import pooled_trend


def test_series_are_pooled_by_their_signs():
    rng = np.random.default_rng(2)

    def trend(step):
        return factor_trend("mean", [10 + step * x + rng.normal(size=8) for x in range(3)])

    weak = [trend(0.45) for _ in range(5)]
    together = pooled_trend(weak)
    assert together.verdict == "rises"
    assert together.p < min(t.p for t in weak)
    assert together.relative == pytest.approx(np.mean([t.relative for t in weak]))
    assert together.low < together.relative < together.high
    assert together.networks == (5,)
    assert pooled_trend([trend(2.0), trend(-2.0)]).verdict == "no arrow"
    alone = trend(-1.0)
    assert pooled_trend([alone]).p == pytest.approx(alone.p)
    few = factor_trend("mean", [np.ones(2), np.ones(2)])
    assert pooled_trend([alone, few]).networks == (1,)
    assert pooled_trend([few]).verdict == "too few networks"
    with pytest.raises(ValueError, match="^trends: expected at least one"):
        pooled_trend([])
