"""Help of a study: its question, presets, flags, and every setting with default and meaning."""

import textwrap
from collections.abc import Sequence
from typing import Any

from rnnjax.studies.catalog import Study
from rnnjax.studies.settings import Preset, Setting, Settings

__all__ = ["study_help"]

_WIDTH = 100
_FLAGS = """Flags:
  --config=PRESET         a preset, or a config file of your own, as FILE.py or FILE.py:PRESET,
                          with a function get_config(preset) that returns the settings
  --config.SETTING=VALUE  changes one setting; with nothing after =, a list of values becomes
                          empty, as with ()
  --workdir=FOLDER        results and report (default: runs/{name});
                          the same command resumes
  --dry_run               prints what would be computed and its cost, and computes nothing
  --time_limit=TIME       stops in order after a time such as 90s, 55m, 2h or 1h30m, with exit code
                          75; the block in training is kept too (with workers, up to its last ten
                          minutes may be lost), and the same command goes on
{executor}  --compilation_cache=FOLDER|off
                          where compiled programs are kept, so that the next command starts sooner
                          (default: the user's cache folder, or RNNJAX_COMPILATION_CACHE)
  --help, -h              prints this text; with --config=PRESET, the values of that preset

RNNJAX_TRACEBACK=1 in the environment shows where an error was raised."""

_EXECUTOR = """  --executor=local:N|dask:FILE
                          trains in N processes of this machine, or on the workers of a Dask
                          scheduler with this scheduler file (default: in this process)
"""


def study_help(study: Study, preset: str | None = None) -> str:
    """The help of a study with the values of a preset; raises `ValueError` for an unknown one."""
    settings, chosen = study.settings, preset or "laptop"
    values = settings.values(chosen)
    presets = ""
    if len(settings.presets) > 1:
        presets = "Presets, with their time on 2 cores:\n" + _columns(
            [(f"--config={name}", _described(name, one)) for name, one in settings.presets.items()]
        )
        presets += "\n\n"
    of = f" of preset {chosen}" if len(settings.presets) > 1 else ""
    flags = _FLAGS.format(name=study.name, executor="" if study.alone else _EXECUTOR)
    return (
        f"rnnjax run {study.name} [FLAG ...]\n\n{study.asks}\n({study.source})\n\n{presets}"
        f"{flags}\n\nSettings, with their values{of}:\n"
        f"{_listed(settings, values)}"
    )


def _described(name: str, preset: Preset) -> str:
    default = "the default: " if name == "laptop" else ""
    note = " while other jobs ran" if preset.shared else ""
    return f"{default}{preset.content} ({preset.time}{note})"


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns; the second is wrapped, and starts a line of its own after a long first cell."""
    width = min(max(len(first) for first, _ in rows), 38) + 2
    lines = []
    for first, second in rows:
        text = textwrap.wrap(second, _WIDTH - width - 2)
        if len(first) > width - 2:
            lines.append(f"  {first}")
            first = ""
        lines.append(f"  {first:<{width}}{text[0]}")
        lines += [" " * (width + 2) + rest for rest in text[1:]]
    return "\n".join(lines)


def _listed(settings: Settings, values: dict[str, Any]) -> str:
    return _columns([_row(name, one, values[name]) for name, one in settings.flat().items()])


def _row(name: str, setting: Setting, value: Any) -> tuple[str, str]:
    if value is None:
        shown = "INTEGER" if setting.kind is int else "NUMBER"
        return f"--config.{name}={shown}", f"{setting.meaning} (default: none)"
    return f"--config.{name}={_text(value)}", setting.meaning


def _text(value: Any) -> str:
    """A value as it can be given on a command line."""
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
