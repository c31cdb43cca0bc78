"""Choose the selection rule of a simultaneous-move search, its constants and its budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SimultaneousRule = Literal["regret", "smooth", "uct"]

RULES: tuple[SimultaneousRule, ...] = ("regret", "smooth", "uct")


@dataclass(frozen=True)
class RegretConfig:
    """Set regret matching (Lanctot, Lisy and Winands 2013; Hart and Mas-Colell 2000)."""

    explore: float = 1.0
    """Share gamma of play drawn from the prior instead of the regrets, at a node's first visit."""
    decay: float = 0.4
    """That share falls as N^-decay over the node's N visits; 0 keeps it.  Agents learn against
    opponents who explore, so a share that stays moves the strategies away from an equilibrium."""
    plus: bool = True
    """Keep regrets from falling below 0 and weigh strategies by the visits before them (regret
    matching+, Tammelin 2014): it forgets sooner what the values below a node once were."""


@dataclass(frozen=True)
class UctConstants:
    """Set UCT: mean return + constant * sqrt(ln N / n), returns scaled to [0, 1] in the tree."""

    constant: float = 0.7
    """Weight of the bonus."""


@dataclass(frozen=True)
class SmoothConfig:
    """Set Smooth UCT (Heinrich and Silver 2015, "Smooth UCT Search in Computer Poker").

    A slot is chosen by UCT with probability max(gamma, eta / (1 + d sqrt N)), else it is drawn from
    the average strategy, the node's visit shares.
    """

    floor: float = 0.5
    """Least probability gamma of following UCT.  The average learns from these visits alone: with
    the paper's 0.1 it takes many more of them to forget the first ones."""
    start: float = 0.5
    """Probability eta of following UCT at a node's first visit."""
    decay: float = 0.1
    """How fast d that probability falls."""


@dataclass(frozen=True)
class SimultaneousConfig:
    """Set a search of games in which all agents move at once."""

    simulations: int = 400
    """Simulations of each position."""
    seconds: float = 0.0
    """Wall-clock budget of one call [s]; 0: none.  With both, whichever ends first."""
    rule: SimultaneousRule = "regret"
    """How agents choose inside the tree: "regret" (regret matching), "smooth" (Smooth UCT) or "uct"
    (decoupled UCT: a bandit for each agent, which need not find an equilibrium)."""
    gamma: float = 1.0
    """Discount of a step."""
    max_depth: int = 0
    """Steps that a simulation may go below the root; 0: no limit."""
    regret: RegretConfig = field(default_factory=RegretConfig)
    """Constants of regret matching."""
    uct: UctConstants = field(default_factory=UctConstants)
    """Constants of UCT, alone and within Smooth UCT."""
    smooth: SmoothConfig = field(default_factory=SmoothConfig)
    """Constants of Smooth UCT."""

    def __post_init__(self) -> None:
        if self.simulations < 1:
            raise ValueError(f"simulations must be at least 1, got {self.simulations}")
        if self.seconds < 0:
            raise ValueError(f"seconds must not be negative, got {self.seconds}")
        if self.rule not in RULES:
            raise ValueError(f"unknown rule {self.rule!r}; the rules are {', '.join(RULES)}")
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {self.gamma}")
        if self.max_depth < 0:
            raise ValueError(f"max_depth must not be negative, got {self.max_depth}")
        for name, value in (
            ("regret.explore", self.regret.explore),
            ("smooth.floor", self.smooth.floor),
            ("smooth.start", self.smooth.start),
        ):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is a probability, got {value}")
