"""Choose among factored actions: a few whole action tuples stand for all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simrl.nn.distributions import MaskedHeads


@torch.no_grad()
def draw_candidates(
    prior: MaskedHeads, count: int, rng: torch.Generator, *, draws: int = 0
) -> tuple[Tensor, Tensor]:
    """Draw `count` different whole actions: int64 `[B, count, H]` and their logits `[B, count]`.

    They are the first ones that differ among `draws` (default 4 count) draws from the policy, which
    is sampling without replacement; slot 0 is an ordinary draw.  Logits are log-probabilities, as
    where actions are sampled from the prior itself (Hubert et al. 2021, "Learning and planning in
    complex action spaces"); slots for which nothing else was drawn repeat slot 0 with logit -inf.
    """
    if count < 1:
        raise ValueError(f"a node needs at least one candidate, got {count}")
    draws = max(draws or 4 * count, count)
    rows = prior.logits.shape[0]
    many = torch.arange(rows).repeat_interleave(draws)
    repeated = MaskedHeads(prior.actions, prior.logits[many], prior.mask[many])
    action, log_prob = repeated.sample(rng)
    action, log_prob = action.unflatten(0, (rows, draws)), log_prob.unflatten(0, (rows, draws))
    code = torch.zeros(rows, draws, dtype=torch.int64)
    for index, head in enumerate(prior.actions.heads):
        code = code * head.size + action[..., index]
    earlier = torch.ones(draws, draws, dtype=torch.bool).tril(-1)
    repeats = ((code[:, :, None] == code[:, None, :]) & earlier).any(-1)
    order = (repeats.long() * draws + torch.arange(draws)).argsort(-1)[:, :count]
    absent = repeats.gather(1, order)
    order = order.masked_fill(absent, 0)
    logits = log_prob.gather(1, order).masked_fill(absent, -math.inf)
    return action[torch.arange(rows)[:, None], order], logits
