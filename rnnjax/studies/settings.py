"""Settings of a study: one table of defaults and meanings, from which configs and help are made.

Nothing here needs more than Python, so that help works without the packages that studies need.
"""

import difflib
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from rnnjax.validate import one_of

__all__ = [
    "REDUCTIONS",
    "Preset",
    "Setting",
    "Settings",
    "Table",
    "nearest_names",
    "task_options",
]


class Setting(NamedTuple):
    """One setting."""

    default: Any
    meaning: str
    kind: type | None = None
    """Type of the values of a setting that is None by default."""
    choices: tuple[str, ...] = ()
    """The names that it takes, if these are the only ones that the study knows."""


Table: TypeAlias = Mapping[str, "Setting | Table"]
"""Settings and groups of settings, by name."""


class Preset(NamedTuple):
    """A choice of values."""

    content: str
    """What it computes."""
    time: str
    """How long that takes on 2 cores, or what it needs."""
    changes: Mapping[str, Any] = {}
    """Values other than the defaults, by dotted name."""
    shared: bool = False
    """Whether other jobs ran on the machine while the time was measured."""


class Settings(NamedTuple):
    """The settings of a study and its presets; `laptop` is the preset that is taken by default."""

    table: Table
    presets: Mapping[str, Preset]

    def flat(self) -> dict[str, Setting]:
        """Every setting, by its dotted name, such as `delayed_cue.steps`."""
        return dict(_flatten(self.table))

    def values(self, preset: str = "laptop") -> dict[str, Any]:
        """The values of a preset, by dotted name; raises `ValueError` for an unknown preset."""
        one_of("preset", preset, self.presets)
        values = {name: setting.default for name, setting in self.flat().items()}
        for name, value in self.presets[preset].changes.items():
            values[one_of(f"preset {preset}", name, values)] = value
        return values

    def config(self, preset: str = "laptop") -> Any:
        """The values of a preset as an `ml_collections.ConfigDict`."""
        config = _config(self.table, self.values(preset))
        return config.lock()  # a misspelled name is an error

    def check_names(self, config: Any) -> None:
        """Raises `ValueError` for a name in the config that is not one of the setting's choices."""
        for name, setting in self.flat().items():
            if not setting.choices:
                continue
            value = operator.attrgetter(name)(config)
            if not isinstance(setting.default, tuple):
                one_of(name, value, setting.choices)
                continue
            for given in value:
                # The flag of `a,b` gives one string.
                for one in given.split(",") if isinstance(given, str) else [given]:
                    one_of(name, one.strip() if isinstance(one, str) else one, setting.choices)

    def restored(self, stored: Mapping[str, Any]) -> Any:
        """The config whose values were written as JSON; missing ones are those of `laptop`.

        Stored settings that the study no longer has, as it did not use them, are left out. Raises
        `ValueError` for values of another type.
        """
        config = self.config()
        try:
            config.update(_known(_with_tuples(stored), self.table))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"settings: expected those of the study, got {error}") from None
        return config


def _known(stored: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The stored settings that are in the table."""
    found = {}
    for name, value in stored.items():
        entry = table.get(name)
        if entry is not None:
            found[name] = value if isinstance(entry, Setting) else _known(value, entry)
    return found


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_tuples(one) for name, one in value.items()}
    return tuple(_with_tuples(one) for one in value) if isinstance(value, list) else value


def _flatten(table: Table, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    for name, entry in table.items():
        if isinstance(entry, Setting):
            yield f"{prefix}{name}", entry
        else:
            yield from _flatten(entry, f"{prefix}{name}.")


def _config(table: Table, values: Mapping[str, Any], prefix: str = "") -> Any:
    from ml_collections import ConfigDict
    from ml_collections.config_dict import placeholder

    config = ConfigDict()
    for name, entry in table.items():
        if not isinstance(entry, Setting):
            config[name] = _config(entry, values, f"{prefix}{name}.")
            continue
        value = values[f"{prefix}{name}"]
        config[name] = value if entry.kind is None else placeholder(entry.kind)
        if entry.kind is not None and value is not None:
            config[name] = value
    return config


_NEAR = 0.6
"""Least similarity of names that are suggested, that of difflib."""


def nearest_names(name: str, names: Iterable[str], most: int = 4) -> list[str]:
    """The dotted names that resemble a mistyped one most; none where none is near.

    The last parts are compared, and between equally near ones the whole names, so that `settle`
    finds `fingerprint.settle`. Several, at most `most`, are equally near.
    """
    alike: dict[str, tuple[float, float]] = {}
    for other in names:
        last = _similarity(name.rpartition(".")[2], other.rpartition(".")[2])
        alike[other] = last, _similarity(name, other) if "." in name else 0.0
    best = max(alike.values(), default=(0.0, 0.0))
    found = [other for other, near in alike.items() if near == best] if best[0] >= _NEAR else []
    return found[:most]


def _similarity(one: str, other: str) -> float:
    """From 0 to 1, for equal names."""
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


_OPTIONS = {
    "cue": "steps of the cue",
    "delay": "steps between cue and response",
    "response": "steps of the response",
    "bits": "number of bits to remember",
    "p": "probability of a pulse, per step and bit",
    "steps": "length of a trial in steps",
    "channels": "number of independent channels",
    "max_delay": "longest delay in steps",
    "amplitudes": "amplitudes of the pulses: integers or continuous",
    "auxiliary": "whether a second output reports the difference",
    "stretches": "delays that the stretched task scales: both, the shortest and the longest, or "
    "longest",
    "frequencies": "number of frequencies that are drawn from",
    "highest": "highest frequency",
    "dimensions": "number of spatial dimensions",
}
"""Meaning of the options of tasks."""

REDUCTIONS = ("mean", "sum")
"""How squared errors of outputs are combined."""

_CHOICES = {"amplitudes": ("integers", "continuous"), "stretches": ("both", "longest")}
"""Names that options of tasks take."""


def task_options(**defaults: Any) -> dict[str, Setting]:
    """Settings of the options of a task; a number whose default is None follows from the others."""
    return {
        name: Setting(value, _OPTIONS[name], choices=_CHOICES.get(name, ()))
        if value is not None
        else Setting(None, f"{_OPTIONS[name]}; by default it follows from the others", int)
        for name, value in defaults.items()
    }
