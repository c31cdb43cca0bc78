"""Numba kernels of the masked multi-head distribution: one pass over each row, no tensor per head.

Every kernel reads the flat mask of `simrl.core.actions` as it is.  `plan` `[H, 4]` int64 holds, for
each head: where its logits start, its size, where its mask starts, and whether the mask depends on
the selector.  `used_start` is where the table of used heads starts in the mask, or -1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl.core.actions import DiscreteActions


def head_plan(actions: DiscreteActions) -> tuple[np.ndarray, int]:
    """Return `plan` `[H, 4]` and `used_start` of an action space, as the kernels read them."""
    rows, start = [], 0
    for head, part in zip(actions.heads, actions.mask_slices, strict=True):
        rows.append((start, head.size, part.start, int(head.conditional)))
        start += head.size
    used = actions.used_slice
    return np.array(rows, np.int64), -1 if used is None else int(used.start)


@njit(cache=True, nogil=True)
def sample_heads(
    logits: np.ndarray,
    mask: np.ndarray,
    plan: np.ndarray,
    used_start: int,
    uniform: np.ndarray,
    greedy: bool,
    action: np.ndarray,
    log_prob: np.ndarray,
) -> int:
    """Draw an action for each row by inverse CDF and write its log-probability.

    logits: `[R, total]`, mask: `[R, M]` bool, uniform: `[R, H]` in [0, 1), action: `[R, H]` int64,
    log_prob: `[R]`.  With `greedy` the first most probable value of each head is taken.  Returns
    -1, or `row * H + head` of the first head in use that has no legal value or a logit that is NaN.
    """
    num_heads = plan.shape[0]
    for row in range(logits.shape[0]):
        choice = 0
        total = 0.0
        for head in range(num_heads):
            action[row, head] = 0
            if (  # the selector always counts
                head > 0
                and used_start >= 0
                and not mask[row, used_start + choice * num_heads + head]
            ):
                continue
            first, size, legal = plan[head, 0], plan[head, 1], plan[head, 2]
            if plan[head, 3]:
                legal += choice * size
            top, best = -np.inf, -1
            for value in range(size):
                if mask[row, legal + value] and logits[row, first + value] > top:
                    top, best = logits[row, first + value], value
            if best < 0:
                return row * num_heads + head
            norm = 0.0
            for value in range(size):
                if mask[row, legal + value]:
                    norm += math.exp(logits[row, first + value] - top)
            if not greedy:
                left = uniform[row, head] * norm
                for value in range(size):
                    if mask[row, legal + value]:
                        weight = math.exp(logits[row, first + value] - top)
                        if weight > 0.0:
                            best = value  # if rounding leaves a rest, the last possible value stays
                        left -= weight
                        if left < 0.0:
                            break
            action[row, head] = best
            total += logits[row, first + best] - top - math.log(norm)
            if head == 0:
                choice = best
        log_prob[row] = total
    return -1


@njit(cache=True, nogil=True)
def evaluate_heads(
    logits: np.ndarray,
    mask: np.ndarray,
    plan: np.ndarray,
    used_start: int,
    action: np.ndarray,
    log_prob: np.ndarray,
    entropy: np.ndarray,
    probs: np.ndarray,
    log_norm: np.ndarray,
    head_entropy: np.ndarray,
) -> int:
    """Write log-probability and entropy `[R]` of each row, summed over the heads in use.

    For `grad_heads` it also writes `probs` `[R, total]` (0 where illegal or unused), `log_norm` and
    `head_entropy` `[R, H]`.  Returns -1, or `row * H + head` of the first head in use whose mask is
    all false, or whose action is not legal.
    """
    num_heads = plan.shape[0]
    for row in range(logits.shape[0]):
        choice = action[row, 0]
        row_log_prob = 0.0
        row_entropy = 0.0
        for head in range(num_heads):
            first, size, legal = plan[head, 0], plan[head, 1], plan[head, 2]
            log_norm[row, head] = 0.0
            head_entropy[row, head] = 0.0
            if (
                head > 0
                and used_start >= 0
                and not mask[row, used_start + choice * num_heads + head]
            ):
                for value in range(size):
                    probs[row, first + value] = 0.0
                continue
            if plan[head, 3]:
                legal += choice * size
            taken = action[row, head]
            if taken < 0 or taken >= size or not mask[row, legal + taken]:
                return row * num_heads + head
            top = logits[row, first + taken]
            for value in range(size):
                if mask[row, legal + value]:
                    top = max(top, logits[row, first + value])
            norm = 0.0
            weighted = 0.0
            for value in range(size):
                weight = 0.0
                if mask[row, legal + value]:
                    gap = logits[row, first + value] - top
                    weight = math.exp(gap)
                    norm += weight
                    weighted += weight * gap
                probs[row, first + value] = weight
            log_z = math.log(norm)
            for value in range(size):
                probs[row, first + value] /= norm
            log_norm[row, head] = top + log_z
            head_entropy[row, head] = log_z - weighted / norm
            row_log_prob += logits[row, first + taken] - top - log_z
            row_entropy += log_z - weighted / norm
        log_prob[row] = row_log_prob
        entropy[row] = row_entropy
    return -1


@njit(cache=True, nogil=True)
def grad_heads(
    logits: np.ndarray,
    plan: np.ndarray,
    action: np.ndarray,
    probs: np.ndarray,
    log_norm: np.ndarray,
    head_entropy: np.ndarray,
    grad_log_prob: np.ndarray,
    grad_entropy: np.ndarray,
    grad_logits: np.ndarray,
) -> None:
    """Write the gradient `[R, total]` of what `evaluate_heads` computed.

    With p = softmax(l) over the legal values: d log p_a / d l_s = [s = a] - p_s, and
    dH / d l_s = -p_s (log p_s + H).
    """
    for row in range(logits.shape[0]):
        by_log_prob, by_entropy = grad_log_prob[row], grad_entropy[row]
        for head in range(plan.shape[0]):
            first, size = plan[head, 0], plan[head, 1]
            shift = head_entropy[row, head] - log_norm[row, head]
            in_use = False
            for value in range(size):
                p = probs[row, first + value]
                in_use = in_use or p > 0.0
                slope = -p * by_log_prob
                if p > 0.0:
                    slope -= by_entropy * p * (logits[row, first + value] + shift)
                grad_logits[row, first + value] = slope
            if in_use:
                grad_logits[row, first + action[row, head]] += by_log_prob
