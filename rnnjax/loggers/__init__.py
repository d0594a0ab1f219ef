"""Loggers: numbers of a sweep while it trains, to a program that plots them.

    from rnnjax.loggers import LoggedProgress
    from rnnjax.loggers.tensorboard import TensorBoard

    progress = LoggedProgress(TensorBoard("runs/board"), rnnjax.ProgressBar())
    rnnjax.run_sweep(sweep, "runs/store", progress=progress)

Each adapter is a module of its own and needs an extra, `rnnjax[tensorboard]` or `rnnjax[wandb]`.
"""

from rnnjax.loggers.progress import LoggedProgress, Logger

__all__ = ["LoggedProgress", "Logger"]
