"""How strong searches play: against exact answers, against OpenSpiel, against their own priors.

Each study is a module of `search_studies` with a function `study(seeds) -> Measured`; seeds are
whole numbers that the study's random streams are made from.  `--only NAME` runs some of them, and
`--curves FILE` keeps what they say beside their figures as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from studies import Measured, Study, run_studies


def study(name: str) -> Callable[[Sequence[int]], Measured]:
    """Return the study of one module, which is imported when it runs: each needs other packages."""

    def run(seeds: Sequence[int]) -> Measured:
        measured: Measured = import_module(f"search_studies.{name}").study(seeds)
        return measured

    return run


STUDIES = {
    "connect_four": Study(study("connect_four"), range(4)),
    "expert_iteration": Study(study("expert_iteration"), range(1)),
    "moba": Study(study("moba"), range(1, 3)),
    "moba_teacher": Study(study("moba_teacher"), range(1)),
    "fbts": Study(study("fbts"), range(3, 6)),
}
"""Each study, by the name of its module."""

if __name__ == "__main__":
    run_studies(
        STUDIES, about=__doc__ or "", title="Strength of searches", packages=("open-spiel",)
    )
