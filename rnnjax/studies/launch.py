"""Command line of a study: its flags, and the devices and settings of the process.

The work is done by the study's `run`, which notebooks and tests call directly.
"""

import contextlib
import importlib
import importlib.util
import inspect
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from absl import flags
from ml_collections import ConfigDict, config_flags

from rnnjax.studies.catalog import Study
from rnnjax.studies.compilation import use_compilation_cache
from rnnjax.studies.console import command_line, print_error
from rnnjax.studies.executors import check_executor, open_executor
from rnnjax.studies.limit import without_limit
from rnnjax.studies.settings import nearest_names
from rnnjax.validate import expanded

__all__ = ["Config", "print_warning", "run_in_parallel_on_cpu", "start"]

Config: TypeAlias = Any
"""An `ml_collections.ConfigDict`; its fields are those that the study's config.py defines."""

_FLAGS = (
    "config", "workdir", "dry_run", "time_limit", "executor", "compilation_cache", "help",
)  # fmt: skip


def start(study: Study, arguments: Sequence[str]) -> None:
    """Parses the flags of a study and runs it; exits non-zero with one line on bad flags.

    Raises the `ValueError` or `OSError` of the study.
    """
    arguments = without_limit(arguments)
    given = _parse(study, arguments)
    if given.executor is not None and study.alone:
        raise ValueError(f"executor: expected none, as {study.name} runs in this process alone")
    run = study.run
    if isinstance(run, str):
        run = importlib.import_module(run).run
    run_in_parallel_on_cpu()
    use_compilation_cache(given.compilation_cache)
    warnings.showwarning = print_warning
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax warns about its own internals
    command = command_line(study.name, arguments)
    common: dict[str, Any] = {"dry_run": given.dry_run, "command": command}
    if given.executor is None or given.dry_run:
        run(given.config, given.workdir, **common)
        return
    with open_executor(given.executor) as executor:
        run(given.config, given.workdir, executor=executor, **common)


class _Given(NamedTuple):
    """The values of the flags."""

    config: Config
    workdir: Path
    dry_run: bool
    compilation_cache: str | None
    executor: str | None


def _parse(study: Study, arguments: list[str]) -> _Given:
    name, others = _split_config(arguments)
    arguments = [study.name, *others]
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", f"runs/{study.name}", "", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "", flag_values=values)
    flags.DEFINE_string("compilation_cache", None, "", flag_values=values)
    flags.DEFINE_string("executor", None, "", flag_values=values)
    try:
        config = _load_config(study, name)
        arguments = _without_nones(study, config, _with_last_sequences(study, arguments))
        known = _settings(config)
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, lock_config=True, sys_argv=arguments
        )
        rest = values(arguments)
    except flags.UnrecognizedFlagError as error:
        _fail(ValueError(_unknown_flag(study, error.flagname)))
    except flags.IllegalFlagValueError as error:
        _fail(ValueError(_illegal_value(study, str(error))))
    except (AttributeError, KeyError) as error:
        _fail(ValueError(_unknown_setting(study, str(error), arguments)))
    except TypeError as error:
        _fail(ValueError(f"config: {error}"))
    except (flags.Error, ValueError) as error:
        _fail(error)
    given = values.flag_values_dict()
    missing = set(known) - set(_settings(given["config"]))
    if missing:  # a flag such as --config.dsa={} replaces a whole group
        _fail(ValueError(f"{min(missing)}: expected a value, got none"))
    if len(rest) > 1:
        _fail(ValueError(_not_a_flag(study, rest[1:])))
    try:
        if not _is_file(name):  # which may register a task of its own
            study.settings.check_names(given["config"])
        check_executor(given["executor"])
        workdir = expanded("workdir", given["workdir"])
    except ValueError as error:
        _fail(error)
    return _Given(
        given["config"], workdir, given["dry_run"], given["compilation_cache"], given["executor"]
    )


def _settings(config: Config, prefix: str = "config") -> list[str]:
    """The names of all settings, such as `config.dsa.trials`."""
    found = []
    for name, value in config.items():
        inside = isinstance(value, ConfigDict)
        found += _settings(value, f"{prefix}.{name}") if inside else [f"{prefix}.{name}"]
    return found


def _split_config(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of the last `--config=VALUE` or `--config VALUE`, and the other arguments."""
    found, others = None, []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag not in ("--config", "-config"):
            others.append(argument)
            continue
        found = value if equals else next(remaining, "")
        if not found:
            _fail(ValueError("config: expected a preset or a config file, got no value"))
    return found, others


def _with_last_sequences(study: Study, arguments: Sequence[str]) -> list[str]:
    """The arguments with one flag, the last, of every setting of several values.

    The parser of flags would join them. No value stands for `()`.
    """
    several = [f"config.{name}" for name in _sequences(study)]
    kept: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag.startswith("-") and flag.lstrip("-") in several:
            kept = _without_flag(kept, flag.lstrip("-"))
            argument = f"{flag}=()" if equals and not value else argument
        kept.append(argument)
    return kept


def _sequences(study: Study) -> list[str]:
    """Settings of several values."""
    settings = study.settings.flat().items()
    return [name for name, setting in settings if isinstance(setting.default, tuple)]


def _without_nones(study: Study, config: Config, arguments: Sequence[str]) -> list[str]:
    """Sets the settings that are switched off by `--config.NAME=None`; returns other arguments.

    The parser of flags knows no None for a setting that has a number.
    """
    optional = [name for name, setting in study.settings.flat().items() if setting.kind is not None]
    others = []
    for argument in arguments:
        flag, _, value = argument.partition("=")
        name = flag.lstrip("-")
        if not (flag.startswith("-") and name.removeprefix("config.") in optional):
            others.append(argument)
        elif name.startswith("config.") and value.lower() == "none":
            config.update_from_flattened_dict({name.removeprefix("config."): None})
            others = _without_flag(others, name)  # the last of several values counts
        else:
            others.append(argument)
    return others


def _without_flag(arguments: Sequence[str], name: str) -> list[str]:
    """The arguments but for a flag's and its values, as `--NAME=VALUE` or `--NAME VALUE`."""
    kept, is_value = [], False
    for argument in arguments:
        flag, equals, _ = argument.partition("=")
        if is_value:
            is_value = False
        elif flag.startswith("-") and flag.lstrip("-") == name:
            is_value = not equals
        else:
            kept.append(argument)
    return kept


def _is_file(config: str | None) -> bool:
    """Whether the value of `--config` names a file, rather than a preset."""
    return config is not None and (".py" in config or os.sep in config)


def _load_config(study: Study, name: str | None) -> Config:
    """The config of a preset, or of a file, as `FILE` or `FILE:preset`."""
    if name is None or not _is_file(name):
        return study.settings.config() if name is None else study.settings.config(name)
    file, _, preset = name.partition(":")
    try:
        get_config = _load_function(Path(file))
        if preset and not inspect.signature(get_config).parameters:
            raise ValueError(f"config: expected no preset, as {file} has none, got {preset!r}")
        config = get_config(preset) if preset else get_config()
        _check_settings(study, file, config)
        return config
    except ValueError:  # of our own settings: it names the argument
        raise
    except Exception as error:  # anything that a user's own file raises
        if "Did you mean" in str(error):  # of a locked config
            raise ValueError(f"{file}: {_unknown_setting(study, str(error))}") from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"config: expected a config file, got {file} ({reason})") from error


def _check_settings(study: Study, file: str, config: Any) -> None:
    """Raises `ValueError` unless the config of a file has the settings of the study."""
    if not isinstance(config, ConfigDict):
        raise ValueError(f"config: expected a ConfigDict from {file}, got {type(config).__name__}")
    given = {name.removeprefix("config.") for name in _settings(config)}
    known = set(study.settings.flat())
    if unknown := sorted(given - known):
        hint = _did_you_mean([repr(name) for name in nearest_names(unknown[0], known)])
        raise ValueError(
            f"config: expected the settings of {study.name} from {file}, got {unknown[0]!r}{hint}"
        )
    if missing := sorted(known - given):
        raise ValueError(
            f"config: expected the settings of {study.name} from {file}, got none for "
            f"{missing[0]!r}"
        )


def _load_function(file: Path) -> Callable[..., Config]:
    spec = importlib.util.spec_from_file_location("_config", file)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config


def _not_a_flag(study: Study, given: Sequence[str]) -> str:
    hint = f" (did you mean --config={given[0]}?)" if given[0] in study.settings.presets else ""
    return f"flags: expected --NAME=VALUE, got {' '.join(given)!r}{hint}"


def _unknown_flag(study: Study, name: str) -> str:
    """An error that suggests the nearest flag, preset or setting, wherever a setting is nested."""
    if name in _FLAGS:
        return f"flag: expected a value, got none for {name!r}"
    flags = {**{flag: f"--{flag}" for flag in _FLAGS},
             **{preset: f"--config={preset}" for preset in study.settings.presets},
             **{setting: f"--config.{setting}" for setting in study.settings.flat()}}  # fmt: skip
    hint = _did_you_mean([flags[near] for near in nearest_names(name, flags)])
    return f"flag: expected one of {', '.join(_FLAGS)}, got {name!r}{hint}"


def _did_you_mean(names: Sequence[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""


def _illegal_value(study: Study, message: str) -> str:
    """`config.seeds: expected an integer, got 'two'` from the message of absl."""
    found = re.match(r"flag --([\w.]+)=(.*?): (.*)", message, re.DOTALL)
    if found is None:
        return message
    name, value, reason = found.groups()
    kinds = {"int()": "an integer", "float": "a number", "oolean": "true or false"}
    kind = next((kind for sign, kind in kinds.items() if sign in reason), "a value of its type")
    if name.removeprefix("config.") in _sequences(study):
        kind = "values with commas between"
    return f"{name}: expected {kind}, got {value!r}"


def _unknown_setting(study: Study, message: str, arguments: Sequence[str] = ()) -> str:
    """`config: expected the name of a setting, got 'seedz' (did you mean 'seeds'?)`.

    The part that is unknown is in the message of ml_collections, the whole name in the arguments.
    """
    found = re.findall(r"['\"](\w+)['\"]", message.replace("\\", ""))
    if not found:
        return f"config: {message}"
    given = [name for argument in arguments if (name := _setting_of(argument))]
    whole = next((name for name in given if found[0] in name.split(".")), found[0])
    near = nearest_names(whole, study.settings.flat())
    hint = _did_you_mean([repr(name) for name in near])
    return f"config: expected the name of a setting, got {found[0]!r}{hint}"


def _setting_of(argument: str) -> str:
    """`kinds.most` of `--config.kinds.most=4`; empty for other arguments."""
    found = re.match(r"--?config\.([\w.]+)", argument)
    return found[1] if found else ""


def _fail(error: BaseException) -> NoReturn:
    sys.exit(print_error(error))


def print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Prints a warning in one line; takes the place of `warnings.showwarning`."""
    print(f"warning: {message}", file=sys.stderr)


def run_in_parallel_on_cpu() -> None:
    """Gives JAX one CPU device per core; takes effect only before JAX is first used."""
    import jax

    from rnnjax.devices import available_cores

    with contextlib.suppress(RuntimeError):  # JAX is in use already and keeps its devices
        jax.config.update("jax_num_cpu_devices", available_cores())
