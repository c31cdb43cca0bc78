"""How far people agree, beyond chance: Cohen's, Fleiss' and Krippendorff's coefficients.

Tables of labels are `[A, I]`: the class that each of A annotators gave each of I items, or -1.
"""

from __future__ import annotations

import importlib
import warnings
from itertools import combinations
from typing import Any, Literal

import numpy as np

from simrl.preferences.store.dawid_skene import MISSING

Level = Literal["nominal", "ordinal", "interval"]


def cohen_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Return Cohen's kappa of two annotators `[I]`, on the items that both labelled.

    NaN where it is undefined: no common item, or both gave one and the same class throughout.
    """
    metrics = _package("sklearn.metrics", "scikit-learn")
    both = (first != MISSING) & (second != MISSING)
    if not both.any():
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0 / 0 where both gave one class throughout
        return float(metrics.cohen_kappa_score(first[both], second[both]))


def cohen_kappas(labels: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa of every two annotators `[A, A]`, NaN where undefined."""
    num = len(labels)
    table = np.full((num, num), np.nan)
    for i, j in combinations(range(num), 2):
        table[i, j] = table[j, i] = cohen_kappa(labels[i], labels[j])
    return table


def fleiss_kappa(labels: np.ndarray, num_classes: int) -> tuple[float, int]:
    """Return Fleiss' kappa and the number of items it stands on.

    It needs items with one number of labels each: of all numbers from 2 on, that with most labels
    is taken.  NaN where it is undefined.
    """
    stats = _package("statsmodels.stats.inter_rater", "statsmodels")
    per_item = (labels != MISSING).sum(0)
    labels_at = {int(n): int(n * (per_item == n).sum()) for n in np.unique(per_item) if n >= 2}
    if not labels_at:
        return float("nan"), 0
    chosen = labels[:, per_item == max(labels_at, key=lambda n: (labels_at[n], n))]
    counts = np.stack([(chosen == c).sum(0) for c in range(num_classes)], 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(stats.fleiss_kappa(counts)), int(chosen.shape[1])


def krippendorff_alpha(labels: np.ndarray, level: Level = "nominal") -> float:
    """Return Krippendorff's alpha; NaN where it is undefined.

    That is: no item has two labels, or all labels are of one class.
    """
    package = _package("krippendorff", "krippendorff")
    compared = labels[:, (labels != MISSING).sum(0) >= 2]
    if np.unique(compared[compared != MISSING]).size < 2:
        return float("nan")
    data = np.where(compared == MISSING, np.nan, compared.astype(np.float64))
    return float(package.alpha(reliability_data=data, level_of_measurement=level))


def _package(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"agreement needs {distribution}: pip install 'simrl[label]'") from error
