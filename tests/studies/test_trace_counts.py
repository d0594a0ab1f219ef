"""Programs that each study traces: one per task, network and recipe, for all rates and seeds."""

import jax
import pytest

from commands import settings, study
from rnnjax.devices import default_layout
from rnnjax.studies.degeneracy import population
from rnnjax.studies.degeneracy.conditions import all_conditions
from rnnjax.sweep import Engine, ahead, plan, programs
from rnnjax.sweep.engine import block_programs

ENGINE = Engine()

COUNTS = {
    # traces of: the training step, the initial weights, the evaluation, the end of an epoch
    ("lr_collapse", "smoke"): (4, 2, 2, 0),
    ("width_transfer", "smoke"): (4, 4, 4, 0),
    ("rescaling", "smoke"): (4, 4, 4, 0),
    ("latent", "smoke"): (2, 2, 2, 0),
    ("task_complexity", "smoke"): (2, 2, 2, 2),
    ("feature_learning", "smoke"): (1, 1, 1, 1),
    ("network_size", "smoke"): (2, 2, 2, 2),
    ("regularization", "smoke"): (2, 1, 1, 2),
    ("population", "smoke"): (2, 1, 2, 2),
}


def sweeps(name, config):
    if name == "population":
        return list(population.build_sweeps(config).values())
    module = study(name)
    if hasattr(module, "build_sweep"):
        return [module.build_sweep(config)]
    return [condition.sweep(config) for condition in all_conditions(module.factors(config))]


@pytest.fixture
def traces(monkeypatch):
    """How often each part of a program is traced."""
    counts = dict.fromkeys(("advance", "initial_params", "evaluate", "end_epoch"), 0)

    def counted(name):
        function = getattr(programs, name)

        def call(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        return call

    for name in counts:
        monkeypatch.setattr(programs, name, counted(name))
    jax.clear_caches()
    yield counts
    jax.clear_caches()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "preset"), COUNTS)
def test_a_study_traces_each_program_once(name, preset, traces):
    layout = default_layout()
    for sweep in sweeps(name, settings(name, preset)):
        for block in plan(sweep, layout, ENGINE):
            list(ahead.trace_programs(block_programs(block, layout, ENGINE)))
    assert tuple(traces.values()) == COUNTS[name, preset]
