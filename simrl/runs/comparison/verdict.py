"""Say in a few sentences what a comparison shows, and no more than it shows."""

from __future__ import annotations

from simrl.compare.summary import Pair, Summary, busy
from simrl.runs.comparison.words import escape, number


def verdict(summary: Summary) -> list[str]:
    """Return the sentences that stand first on the page, as HTML."""
    if len(summary.table.labels) < 2:
        label = summary.table.labels[0]
        return [f"{escape(label)} alone: {_share(summary, w, label)} {w}." for w in summary.figures]
    found = [_of_set(summary, where) for where in summary.figures]
    clear = [winner for winner in summary.winners if winner.clear]
    if clear:
        wins = {label: sum(w.best == label for w in clear) for label in summary.table.labels}
        named = ", ".join(f"{escape(label)} in {count}" for label, count in wins.items() if count)
        found.append(
            f"Clear winner in {len(clear)} of {len(summary.winners)} grids (nominal and beyond "
            f"counted apart): {named}."
        )
    else:
        found.append(f"No grid of {len(summary.winners)} has a clear winner.")
    return [*found, *_of_time(summary)]


def _of_set(summary: Summary, where: str) -> str:
    """Say who leads in one set of scenarios, against the second, and whether that is sure."""
    figures = summary.figures[where]
    order = sorted(figures, key=lambda label: -figures[label]["score"].value)
    first, second = order[:2]
    pair, sign = _pair(summary, where, first, second)
    low, high = sorted((sign * pair.lead.low, sign * pair.lead.high))
    name = where.capitalize()
    succeed = " and ".join(_share(summary, where, label) for label in order[:2])
    if pair.p_holm >= 0.05 or low <= 0.0:
        # A small difference in nearly every scenario may still leave the lead in the mean unsure.
        alike = pair.p_holm >= 0.05
        said = "are not told apart" if alike else "differ by scenario, but neither surely leads"
        return (
            f"{name}: <b>{escape(first)}</b> and <b>{escape(second)}</b> {said} "
            f"(scores {number(figures[first]['score'].value)} and "
            f"{number(figures[second]['score'].value)}, lead {number(low)} to {number(high)}, "
            f"p = {number(pair.p_holm)}); "
            f"success {succeed}."
        )
    return (
        f"{name}: <b>{escape(first)}</b> scores highest "
        f"({number(figures[first]['score'].value)}), above {escape(second)} by {number(low)} to "
        f"{number(high)}; success {succeed}."
    )


def _of_time(summary: Summary) -> list[str]:
    """Say how far apart the controllers' compute times are, and who misses its steps."""
    times = {label: own for label, own in summary.timing.items() if own}
    if len(times) < 2:
        return []
    order = sorted(times, key=lambda label: times[label]["p50_ms"])
    fast, slow = order[0], order[-1]
    ratio = times[slow]["p50_ms"] / times[fast]["p50_ms"]
    found = [
        f"A decision takes {number(times[fast]['p50_ms'])} ms with {escape(fast)} and "
        f"{number(times[slow]['p50_ms'])} ms with {escape(slow)} (medians; {ratio:.1f} times)."
    ]
    late = [label for label in order if times[label]["misses"] > 0.01]
    if late:
        shares = ", ".join(f"{escape(x)} in {100 * times[x]['misses']:.0f} %" for x in late)
        why = " (the machine was busy, see below)" if busy(summary.table) else ""
        found.append(f"Decisions that took longer than a step: {shares}{why}.")
    return found


def _pair(summary: Summary, where: str, first: str, second: str) -> tuple[Pair, float]:
    """Return the pair, and 1 if it stands in this order, else -1."""
    for pair in summary.pairs:
        if pair.where == where and {pair.first, pair.second} == {first, second}:
            return pair, 1.0 if pair.first == first else -1.0
    raise ValueError(f"there is no pair {first}, {second} in {where}")


def _share(summary: Summary, where: str, label: str) -> str:
    success = summary.figures[where][label]["success"]
    return f"{100 * success.value:.0f} % ({100 * success.low:.0f} to {100 * success.high:.0f})"
