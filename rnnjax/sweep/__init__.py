"""Sweeps: named axes, compiled blocks of runs, resumable results."""

from rnnjax.devices import Layout, default_layout
from rnnjax.jobs import JobError, Workers
from rnnjax.lanes import Resources
from rnnjax.processes import LocalExecutor
from rnnjax.spacing import log_rates, log_widths
from rnnjax.stopping import OutOfTime, time_limit
from rnnjax.sweep.axes import Axis, Sweep
from rnnjax.sweep.block import Segment
from rnnjax.sweep.engine import Block, Engine, Progress, plan, run_sweep, sweep_config
from rnnjax.sweep.memory import MemoryStore
from rnnjax.sweep.progress import ProgressBar
from rnnjax.sweep.results import FIELDS, LossRecord, empty_results
from rnnjax.sweep.solo import Trained, train_one
from rnnjax.sweep.stored import load_sweep
from rnnjax.training import TRACED

__all__ = [
    "FIELDS",
    "TRACED",
    "Axis",
    "Block",
    "Engine",
    "JobError",
    "Layout",
    "LocalExecutor",
    "LossRecord",
    "MemoryStore",
    "OutOfTime",
    "Progress",
    "ProgressBar",
    "Resources",
    "Segment",
    "Sweep",
    "Trained",
    "Workers",
    "default_layout",
    "empty_results",
    "load_sweep",
    "log_rates",
    "log_widths",
    "plan",
    "run_sweep",
    "sweep_config",
    "time_limit",
    "train_one",
]
