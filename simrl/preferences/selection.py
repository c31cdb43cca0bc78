"""Choose which pairs to ask about next, given what an ensemble of reward models thinks of them.

Every rule is a pure function `(candidates, count, generator) -> indices [count]` of different
candidates.  Uniform, disagreement, entropy and the k-centre rules are those of B-Pref (Lee et al.
2021); information gain is Houlsby et al. 2011, "Bayesian active learning for classification and
preference learning"; Thompson is a double Thompson sample as in Wu and Liu 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from simrl.preferences.segment import SegmentBatch

SelectionKind = Literal[
    "uniform",
    "disagreement",
    "entropy",
    "k-centre",
    "k-centre-disagreement",
    "k-centre-entropy",
    "information-gain",
    "thompson",
]


@dataclass(frozen=True)
class Candidates:
    """Hold what is known of P candidate pairs; E is the number of reward models."""

    first_return: Tensor
    """Predicted return of each pair's first segment `[E, P]`."""
    second_return: Tensor
    """Predicted return of each pair's second segment `[E, P]`."""
    logit: Tensor
    """Logit that the first segment is better `[E, P]`."""
    features: Tensor
    """Where each pair lies `[P, F]`, in units in which distances mean something."""
    asked: Tensor
    """Where the pairs lie that were asked before `[K, F]`."""

    def __post_init__(self) -> None:
        """Check that the shapes agree; ValueError says which do not."""
        if not self.first_return.shape == self.second_return.shape == self.logit.shape:
            raise ValueError(
                f"candidates: returns {tuple(self.first_return.shape)} and "
                f"{tuple(self.second_return.shape)}, logits {tuple(self.logit.shape)}"
            )
        if len(self.features) != self.logit.shape[1]:
            raise ValueError(
                f"candidates: {self.logit.shape[1]} pairs, but {len(self.features)} features"
            )

    def __len__(self) -> int:
        return self.logit.shape[1]

    @property
    def probability(self) -> Tensor:
        """Probability that the first segment is better, as each model sees it `[E, P]`."""
        return torch.sigmoid(self.logit)

    def select(self, index: Tensor) -> Candidates:
        """Return the candidates `index`."""
        return Candidates(
            self.first_return[:, index],
            self.second_return[:, index],
            self.logit[:, index],
            self.features[index],
            self.asked,
        )


Selector = Callable[[Candidates, int, torch.Generator], Tensor]


def select(
    kind: SelectionKind, candidates: Candidates, count: int, generator: torch.Generator
) -> Tensor:
    """Choose `count` of the candidates (all, if there are fewer) by the rule `kind`: indices.

    ValueError lists the valid rules.
    """
    rule = selector(kind)
    if count >= len(candidates):
        return torch.arange(len(candidates))
    return rule(candidates, count, generator)


def selector(kind: str) -> Selector:
    """Return the rule called `kind`; ValueError lists the valid ones."""
    if kind not in SELECTORS:
        raise ValueError(f"unknown selection {kind!r}; the rules are {', '.join(SELECTORS)}")
    return SELECTORS[kind]


def disagreement(candidates: Candidates) -> Tensor:
    """Return the deviation over the models of the probability of "first" `[P]`."""
    return candidates.probability.std(0, correction=0)


def entropy(candidates: Candidates) -> Tensor:
    """Return the mean over the models of the entropy of the answer `[P]` [nat]."""
    return _binary_entropy(candidates.logit).mean(0)


def information_gain(candidates: Candidates) -> Tensor:
    """Return the mutual information of the answer and the model `[P]` [nat].

    It is the entropy of the mean answer minus the mean entropy: high where the models are sure and
    contradict each other, 0 where all agree that it is a toss-up.
    """
    mean = candidates.probability.double().mean(0).clamp(1e-12, 1 - 1e-12)
    gain = _binary_entropy(torch.logit(mean)) - entropy(candidates).double()
    return gain.clamp_min(0.0).float()


def k_centre(features: Tensor, asked: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose `count` rows of `features` `[P, F]`, each the farthest from all chosen and `asked`.

    The greedy 2-approximation (Gonzalez 1985); with nothing asked yet it starts at a random row.
    """
    distance = torch.full((len(features),), torch.inf)
    if len(asked):
        distance = torch.cdist(features, asked).amin(1)
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        if bool(torch.isinf(distance).all()):
            index = int(torch.randint(len(features), (), generator=generator))
        else:
            index = int(distance.argmax())
        chosen.append(index)
        new = torch.linalg.vector_norm(features - features[index], dim=-1)
        distance = torch.minimum(distance, new)
        distance[chosen] = -1.0  # equal features must not be chosen twice
    return torch.tensor(chosen, dtype=torch.int64)


def segment_features(segments: SegmentBatch) -> Tensor:
    """Summarise each segment in `[M, 2 (D + H) + 1]` numbers for distances between segments.

    Mean and deviation over its steps of every observation and action, and the share of the L steps
    that happened.
    """
    x = torch.cat([segments.obs, segments.action.to(segments.obs.dtype)], -1)
    mask, steps = segments.mask[..., None], segments.length[:, None].to(x.dtype)
    mean = (x * mask).sum(1) / steps
    deviation = (((x - mean[:, None]) * mask).square().sum(1) / steps).sqrt()
    return torch.cat([mean, deviation, steps / segments.num_steps], -1)


def _uniform(candidates: Candidates, count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(candidates), generator=generator)[:count]


def _highest(score: Callable[[Candidates], Tensor]) -> Selector:
    """Choose the candidates of the highest score; of equal ones, the earlier."""

    def choose(candidates: Candidates, count: int, generator: torch.Generator) -> Tensor:
        return score(candidates).argsort(descending=True, stable=True)[:count]

    return choose


def _spread(candidates: Candidates, count: int, generator: torch.Generator) -> Tensor:
    return k_centre(candidates.features, candidates.asked, count, generator)


def _highest_then_spread(score: Callable[[Candidates], Tensor]) -> Selector:
    """Spread over the better half of the candidates by score, and at least `count` of them."""

    def choose(candidates: Candidates, count: int, generator: torch.Generator) -> Tensor:
        half = max(count, len(candidates) // 2)
        best = _highest(score)(candidates, half, generator)
        return best[_spread(candidates.select(best), count, generator)]

    return choose


def _thompson(candidates: Candidates, count: int, generator: torch.Generator) -> Tensor:
    """Draw two models for each question and take the pair that sets their favourites side by side.

    The first segment is to be the best in the eyes of one, the second in the eyes of the other.
    """
    members = candidates.logit.shape[0]
    chosen: list[int] = []
    for _ in range(count):
        order = torch.randperm(members, generator=generator)
        one, other = int(order[0]), int(order[-1])
        score = candidates.first_return[one] + candidates.second_return[other]
        score[chosen] = -torch.inf
        chosen.append(int(score.argmax()))
    return torch.tensor(chosen, dtype=torch.int64)


def _binary_entropy(logit: Tensor) -> Tensor:
    """Return the entropy [nat] of a coin with this logit, finite for any logit."""
    softplus = torch.nn.functional.softplus
    heads = torch.sigmoid(logit)
    return heads * softplus(-logit) + (1 - heads) * softplus(logit)


SELECTORS: dict[str, Selector] = {
    "uniform": _uniform,
    "disagreement": _highest(disagreement),
    "entropy": _highest(entropy),
    "k-centre": _spread,
    "k-centre-disagreement": _highest_then_spread(disagreement),
    "k-centre-entropy": _highest_then_spread(entropy),
    "information-gain": _highest(information_gain),
    "thompson": _thompson,
}
"""Every rule by its name."""
