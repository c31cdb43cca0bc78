"""Write dawid_skene.json: an estimate by crowd-kit, an independent implementation.

    python -m venv /tmp/crowd && /tmp/crowd/bin/pip install crowd-kit
    /tmp/crowd/bin/python tests/preferences/store/golden/make_dawid_skene.py

Seven annotators of differing skill, one of them nearly contrary, label 60 items of three classes;
each item is labelled by three to seven of them.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene

CLASSES = 3

rng = np.random.default_rng(12)
truth = rng.choice(CLASSES, 60, p=[0.5, 0.3, 0.2])
skills = [0.95, 0.9, 0.8, 0.7, 0.6, 0.45, 0.1]
labels = np.full((len(skills), len(truth)), -1)
for item, true in enumerate(truth):
    for annotator in rng.permutation(len(skills))[: rng.integers(3, 8)]:
        right = rng.random() < skills[annotator]
        labels[annotator, item] = true if right else (true + rng.integers(1, CLASSES)) % CLASSES
annotators, items = np.nonzero(labels >= 0)
votes = pd.DataFrame({"task": items, "worker": annotators, "label": labels[annotators, items]})
model = DawidSkene(n_iter=5000, tol=1e-14).fit(votes)
posterior = model.probas_.sort_index()[list(range(CLASSES))].to_numpy()
# errors_ is indexed by (annotator, observed label) with a column for each true label.
confusion = [
    [
        [float(model.errors_.loc[(a, said), true]) for said in range(CLASSES)]
        for true in range(CLASSES)
    ]
    for a in range(len(skills))
]
content = {
    "source": f"crowd-kit {version('crowd-kit')}, DawidSkene(n_iter=5000, tol=1e-14)",
    "labels": labels.tolist(),
    "posterior": posterior.tolist(),
    "prior": model.priors_.sort_index().tolist(),
    "confusion": confusion,
}
Path(__file__).with_name("dawid_skene.json").write_text(json.dumps(content) + "\n")
