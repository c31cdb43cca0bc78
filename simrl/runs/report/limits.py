"""Say what a report cannot tell: too few seeds, too few games, a run cut short."""

from __future__ import annotations

from simrl.runs.report.record import RunRecord

WIDE = 0.07
"""Half width of a win rate's interval above which the report says that games are few."""


def limits(record: RunRecord) -> list[str]:
    """Return the reservations under which the page should be read, as sentences."""
    config = record.config
    found = [
        f"One run with one seed ({config.seed}). Runs differ from seed to seed: "
        "compare settings over at least three seeds each."
    ]
    found += [f"Not shown: {problem}." for problem in record.problems]
    done = record.last("time/fraction_done")
    if done is None:
        found.append("The run has not finished an update yet.")
    elif done < 0.999:
        found.append(f"The run is not finished: {int(100 * done)} % of its planned length is done.")
    if not record.evaluations:
        found.append("It was never evaluated: training figures alone do not say how well it plays.")
    else:
        found += _about_evaluation(record)
    if config.league is not None:
        found.append(
            "League figures come from training games: the learner samples its actions, keeps "
            f"changing, and {config.league.forget:.0%} of the older results fade at each snapshot."
        )
    if not record.machine_known:
        found.append(
            "The run did not note its machine; the one named here is where the report was made."
        )
    return [
        *found,
        "Speeds depend on whatever else ran on the machine at the time.",
    ]


def _about_evaluation(record: RunRecord) -> list[str]:
    found = []
    last = record.evaluations[-1].get("opponents", {})
    widths = {name: (f["high"] - f["low"]) / 2.0 for name, f in last.items()}
    widest = max(widths, key=lambda name: widths[name], default=None)
    if widest is not None and widths[widest] > WIDE:
        figures = last[widest]
        games = int(figures["wins"] + figures["draws"] + figures["losses"])
        found.append(
            f"{games} games leave the win rate against {widest} unsure by "
            f"± {100 * widths[widest]:.0f} points; four times the games would halve that."
        )
    if last:
        found.append(
            "The opponents are scripts. The win rates say nothing about people or other agents."
        )
    if len(record.evaluations) > 1:
        found.append(
            "The best checkpoint was chosen by these same evaluations, so its score leans high; "
            "`simrl evaluate` with another seed gives an unbiased figure."
        )
    return found
