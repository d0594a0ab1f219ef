"""Table 1 of study 2 from the four degeneracy studies: every arrow with effect and interval.

    python experiments/summary.py --workdir=runs/summary

Reads runs/task_complexity, runs/feature_learning, runs/network_size and runs/regularization, or
what `--config.task_complexity=...` and the like say. Settings: experiments/configs/summary.py.
"""

from pathlib import Path

from compared import read_study
from grids import device_name
from launch import Config, Study, main
from rnnjax.report import summary_page, write_report
from rnnjax.report.reference import DEGENERACY_ARROWS
from rnnjax.store import versions


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.summary.run(config, workdir)",
) -> None:
    """Writes the table; raises `ValueError` for workdirs that miss a study, naming all of these."""
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir: expected a folder, got the file {workdir}")
    if (workdir / "store").exists() or (workdir / "study.json").exists():
        raise ValueError(
            f"workdir: expected a folder of the summary's own, got a study's: {workdir}"
        )
    studies, sources, missing = {}, {}, []
    for study in DEGENERACY_ARROWS:
        try:
            sources[study], studies[study] = read_study(study, Path(config[study]))
        except ValueError as error:
            missing.append(str(error))
    if missing:
        raise ValueError("; ".join(missing))
    if dry_run:
        print("Nothing to train: four studies are there.")
        return
    page = summary_page(
        studies, command=command, sources=sources,
        versions={"devices": device_name(), **versions()},
    )  # fmt: skip
    write_report(page, workdir)
    print(f"Report: {workdir / 'report.html'}")


if __name__ == "__main__":
    main(Study("summary", Path(__file__).parent / "configs" / "summary.py", run))
