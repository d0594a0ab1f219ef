"""Populations trained to their thresholds: how many epochs they need, and their outputs.

    python experiments/population.py --workdir=runs/population

Presets and settings: experiments/configs/population.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "population",
    Path(__file__).parent / "configs" / "population.py",
    "rnnjax.studies.degeneracy.population",
)

if __name__ == "__main__":
    main(STUDY)
