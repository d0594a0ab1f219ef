"""Logs to Weights & Biases, by default offline; needs `rnnjax[wandb]`."""

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = ["WeightsAndBiases"]


class WeightsAndBiases:
    """Logs scalars to a run of Weights & Biases; `wandb sync FOLDER` uploads an offline one.

    Raises `ImportError` if wandb is not installed.
    """

    def __init__(self, run: Any = None, **options: Any):
        """`run`: of `wandb.init`; without one, it is begun with `options`, `mode="offline"`."""
        self._run = _begin(options) if run is None else run
        self._known: set[str] = set()

    def log(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Logs the values under NAME/..., against the steps of this block."""
        if name not in self._known:  # steps begin anew with every block
            self._known.add(name)
            self._run.define_metric(f"{name}/step", hidden=True)
            self._run.define_metric(f"{name}/*", step_metric=f"{name}/step")
        scalars = {f"{name}/{value}": number for value, number in values.items()}
        self._run.log({f"{name}/step": step, **scalars})

    def flush(self) -> None:
        """Does nothing: the run writes by itself."""

    def close(self) -> None:
        """Finishes the run."""
        self._run.finish()


def _begin(options: Mapping[str, Any]) -> Any:
    try:
        wandb: Any = importlib.import_module("wandb")
    except ImportError as error:
        raise ImportError(
            "wandb is not installed; to install it: pip install 'rnnjax[wandb]'"
        ) from error
    return wandb.init(**{"mode": "offline", **options})
