"""What a table of episodes says: figures with intervals, pairs, winners, and what it cannot say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from simrl.compare.plan import Plan
from simrl.compare.statistics import (
    Estimate,
    Resampling,
    aggregate,
    difference,
    holm,
    mean_difference,
    mean_of_known,
    paired_test,
    probability_of_improvement,
)
from simrl.compare.table import Table
from simrl.core.seeding import child_seed
from simrl.rollout.intervals import wilson
from simrl.rollout.threads import usable_cores

NOMINAL, FAR = "nominal", "out of distribution"
ENDLESS = ("rmse", "cvar")
"""Figures that count an early end as an endless error, so that falling does not look precise."""
SHARES = ("success", "recovered", "terminated")
"""Figures that are shares of episodes."""
LASTED = ("energy", "mean_power", "cost_of_transport", "action_rate")
"""Figures whose mean leaves out episodes that ended early: falling at once costs no energy."""
MEANS = ("recovery_seconds", *LASTED, "violations", "violation_seconds", "return")
"""Figures of which the mean is given."""


FEWEST = 5
"""Scenarios from which on a winner is called clear: resampling fewer says too much."""


@dataclass(frozen=True)
class Pair:
    """Compare two controllers over one set of scenarios."""

    where: str
    """Which scenarios: nominal, or out of distribution."""
    first: str
    second: str
    improvement: Estimate
    """How likely the first scores above the second in a scenario."""
    lead: Estimate
    """How far its interquartile mean score lies above."""
    p: float
    """Of Wilcoxon's signed-rank test, two-sided."""
    p_holm: float
    """The same, corrected for the number of pairs on the page."""


@dataclass(frozen=True)
class Winner:
    """Say who was best in one grid, or one point of it."""

    grid: str
    where: str
    point: Mapping[str, Any]
    """Where in the grid; empty for all of it."""
    scores: Mapping[str, float]
    """Mean score of each controller."""
    best: str
    lead: Estimate | None
    """How far its mean score lies above the second's; None if it is alone."""
    count: int
    """Number of scenarios."""

    @property
    def clear(self) -> bool:
        """Whether the lead is above 0 with 95 %, in no fewer than `FEWEST` scenarios."""
        return self.lead is not None and self.lead.above and self.count >= FEWEST


@dataclass(frozen=True)
class Summary:
    """Hold all that the report, the table in the terminal and `--json` show."""

    table: Table
    figures: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    """By set of scenarios, by controller, each figure."""
    counts: Mapping[str, int]
    """Number of scenarios of each set."""
    pairs: Sequence[Pair]
    winners: Sequence[Winner]
    """Of each grid."""
    points: Sequence[Winner]
    """Of each point of each grid."""
    timing: Mapping[str, Mapping[str, float]]
    """By controller, the times of its decisions for one robot [ms]."""
    limits: Sequence[str]
    """What the comparison cannot say."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain names and numbers, infinite ones as None; timing apart."""
        plan = self.table.plan
        return _plain(
            {
                "task": plan.task,
                "controllers": self.table.labels,
                "scenarios": dict(self.counts),
                "real_time": plan.real_time,
                "seed": plan.seed,
                "figures": self.figures,
                "pairs": [asdict(pair) for pair in self.pairs],
                "winners": [_winner(winner) for winner in self.winners],
                "points": [_winner(winner) for winner in self.points],
                "timing": self.timing,
                "limits": list(self.limits),
            }
        )


def summarise(table: Table) -> Summary:
    """Compute what a table says."""
    sets = {NOMINAL: ~table.far, FAR: table.far}
    sets = {name: which for name, which in sets.items() if which.any()}
    figures = {name: _figures(table, which, name) for name, which in sets.items()}
    timing = {
        label: _timing(table, number, seconds)
        for number, (label, seconds) in enumerate(zip(table.labels, table.act_seconds, strict=True))
    }
    return Summary(
        table=table,
        figures=figures,
        counts={name: int(which.sum()) for name, which in sets.items()},
        pairs=_pairs(table, sets),
        winners=_winners(table, sets),
        points=_points(table),
        timing=timing,
        limits=limits(table),
    )


def resampling(table: Table, which: np.ndarray, name: str) -> Resampling:
    """Return the bootstrap over the scenarios `which` `[M]` bool, their grids as strata."""
    seed = child_seed(table.plan.seed, f"statistics/{name}")
    return Resampling(table.strata[which], seed=seed, num_draws=table.plan.num_draws)


def _figures(table: Table, which: np.ndarray, name: str) -> dict[str, dict[str, Estimate]]:
    draws = resampling(table, which, name)
    found: dict[str, dict[str, Estimate]] = {}
    for number, label in enumerate(table.labels):
        known = table.figures[number]
        own = {"score": aggregate(table.figure(number, "score", which), draws, label)}
        early = table.figure(number, "terminated", which) > 0.5
        for figure in SHARES:
            if figure in known:
                values = table.figure(number, figure, which)
                count = int((~np.isnan(values)).sum())
                if count:
                    own[figure] = Estimate(*wilson(float(np.nansum(values)), count))
        for figure in ENDLESS:
            if figure in known:
                values = np.where(early, np.inf, table.figure(number, figure, which))
                own[figure] = aggregate(values, draws, label)
        for figure in MEANS:
            if figure in known:
                values = table.figure(number, figure, which)
                if figure in LASTED:
                    values = np.where(early, np.nan, values)
                estimated = mean_of_known(values, draws, label)
                if estimated is not None:
                    own[figure] = estimated
        found[label] = own
    return found


def _pairs(table: Table, sets: Mapping[str, np.ndarray]) -> list[Pair]:
    found = []
    for where, which in sets.items():
        draws = resampling(table, which, where)
        for (i, first), (j, second) in combinations(enumerate(table.labels), 2):
            a, b = table.figure(i, "score", which), table.figure(j, "score", which)
            names = (first, second)
            improvement = probability_of_improvement(a, b, draws, names)
            lead = difference(a, b, draws, names)
            found.append((where, first, second, improvement, lead, paired_test(a, b)))
    corrected = holm([row[-1] for row in found])
    return [Pair(*row, p_holm) for row, p_holm in zip(found, corrected, strict=True)]


def _winners(table: Table, sets: Mapping[str, np.ndarray]) -> list[Winner]:
    found = []
    for grid in dict.fromkeys(table.grids):
        for where, which in sets.items():
            members = which & (table.grids == grid)
            if members.any():
                found.append(_winner_of(table, members, str(grid), where, {}))
    return found


def _points(table: Table) -> list[Winner]:
    places: dict[str, list[int]] = {}
    for number, scenario in enumerate(table.scenarios):
        places.setdefault(f"{scenario.grid} {dict(scenario.point)!r}", []).append(number)
    found = []
    for numbers in places.values():
        scenario = table.scenarios[numbers[0]]
        members = np.zeros(len(table.scenarios), np.bool_)
        members[numbers] = True
        where = FAR if scenario.out_of_distribution else NOMINAL
        found.append(_winner_of(table, members, scenario.grid, where, scenario.point))
    return found


def _winner_of(
    table: Table, members: np.ndarray, grid: str, where: str, point: Mapping[str, Any]
) -> Winner:
    """Return who has the highest mean score in some scenarios, and its lead over the second."""
    scores = {
        label: table.figure(number, "score", members) for number, label in enumerate(table.labels)
    }
    means = {label: float(values.mean()) for label, values in scores.items()}
    order = sorted(means, key=lambda label: -means[label])
    lead = None
    if len(order) > 1:
        draws = resampling(table, members, f"{grid}/{where}/{dict(point)!r}")
        first, second = order[:2]
        lead = mean_difference(scores[first], scores[second], draws, (first, second))
        if members.sum() == 1 and max(len(scores[first]), len(scores[second])) == 1:
            lead = Estimate(lead.value, math.nan, math.nan)  # one scenario has no spread
    return Winner(grid, where, point, means, order[0], lead, int(members.sum()))


def _timing(table: Table, number: int, seconds: np.ndarray) -> dict[str, float]:
    """Return the times of one controller's decisions for one robot [ms]."""
    if not len(seconds):
        return {}
    p50, p99 = np.percentile(seconds * 1e3, (50, 99))
    deadline = table.deadlines[number]
    return {
        "decisions": float(len(seconds)),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": float(seconds.max() * 1e3),
        "deadline_ms": deadline * 1e3,
        "misses": float((seconds > deadline).mean()),
    }


def limits(table: Table) -> list[str]:
    """Return what the comparison cannot say, as sentences."""
    plan, found = table.plan, []
    for entrant in plan.entrants:
        count = len(entrant.members)
        if entrant.learned and count < 5:
            seeds = "one training seed" if count == 1 else f"{count} training seeds"
            luck = (
                "how much of this is luck in training" if count == 1 else "the spread of training"
            )
            found.append(
                f"{entrant.label} has {seeds}: the page cannot say {luck}; compare at least five."
            )
    nominal = int((~table.far).sum())
    if nominal < 100:
        found.append(
            f"{nominal} nominal scenarios are few: a success rate of 95 % of them is known to "
            f"about ± {100 * _half_width(nominal):.0f} points; 100 or more are usual."
        )
    if len(plan.entrants) > 1:
        found.append(_about_tuning(plan))
    if any(len(entrant.members) > 1 for entrant in plan.entrants):
        found.append(
            "Success intervals count the episodes of all training seeds as independent, and the "
            "paired tests speak of these training seeds alone; the bootstrap intervals resample "
            "seeds and scenarios apart."
        )
    found.append(
        "Winners by scenario are read at 95 % each, without correction for their number: of twenty "
        "even ones, one may look clear by chance. The p-values of pairs are corrected."
    )
    found += _about_time(table)
    if len({repr(sorted(entrant.options.items())) for entrant in plan.entrants}) > 1:
        found.append(
            "The controllers act through different interfaces (action meaning or rate), so their "
            "action rates cannot be compared, and part of a difference may be the interface's."
        )
    found.append(
        "Out of distribution means what the scenario file marks so; what each controller was "
        "tuned or trained on is not known to the page. All of it is simulation: no robot was run."
    )
    return found


def _about_tuning(plan: Plan) -> str:
    steps = {
        entrant.label: max(entrant.facts["agent_steps"])
        for entrant in plan.entrants
        if entrant.facts.get("agent_steps")
    }
    known = ", ".join(
        f"{label} was trained for {count:,} agent-steps" for label, count in steps.items()
    )
    known = f"; it knows only that {known}" if known else ""
    return (
        f"Tuning: the page does not know how long each controller was tuned, or on what{known}. "
        "Where one had more effort, or other data, its lead may be that; equal budgets are yours "
        "to see to."
    )


def _about_time(table: Table) -> list[str]:
    found = ["Times are those of one machine and of this Python code."]
    if busy(table):
        found = [
            f"Times are those of one machine that was busy: {table.load:.1f} programs wanted its "
            f"{usable_cores()} cores while decisions were timed, so their longest times, and the "
            "steps that they missed, are the machine's more than the controllers'."
        ]
    if table.plan.real_time:
        found.append(
            "Compute time counted, and it is never the same twice: a rerun gives other digits."
        )
    else:
        found.append(
            "Compute time did not count here: every action came at once. Run it with --real-time "
            "before you believe a slow controller's lead."
        )
    return found


def busy(table: Table) -> bool:
    """Tell whether others wanted the cores while decisions were timed."""
    return bool(table.load > usable_cores() + 0.5)


def _half_width(count: int) -> float:
    _, low, high = wilson(0.95 * count, count)
    return (high - low) / 2.0


def _winner(winner: Winner) -> dict[str, Any]:
    return {**asdict(winner), "clear": winner.clear}


def _plain(value: Any) -> Any:
    """Turn estimates into mappings and numbers that JSON does not know into None."""
    if isinstance(value, Estimate):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.floating, np.integer, np.bool_)):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
