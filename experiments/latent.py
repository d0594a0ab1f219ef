"""Latent training: networks of up to a million units in their K latent variables.

    python experiments/latent.py --workdir=runs/latent

Presets and settings: experiments/configs/latent.py. The same command resumes.
"""

from pathlib import Path

from rnnjax.studies.launch import Study, main

STUDY = Study(
    "latent", Path(__file__).parent / "configs" / "latent.py", "rnnjax.studies.latent.study"
)

if __name__ == "__main__":
    main(STUDY)
