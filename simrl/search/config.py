"""Choose the budget, the rule and the extras of a tree search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Rule = Literal["puct", "gumbel", "uct"]
Backend = Literal["auto", "kernels", "torch"]


@dataclass(frozen=True)
class PuctConfig:
    """Set the constants of PUCT, as in MuZero (Schrittwieser et al. 2020, appendix B)."""

    c_init: float = 1.25
    """Weight of the prior."""
    c_base: float = 19652.0
    """Visits at which that weight has grown by ln 2."""
    dirichlet_fraction: float = 0.25
    """Share of the root's prior that is Dirichlet noise; 0: none."""
    dirichlet_alpha: float = 0.3
    """Concentration of the Dirichlet noise."""
    temperature: float = 1.0
    """The slot is drawn in proportion to visits ** (1 / temperature); 0: the most visited one."""
    value_low: float = 0.0
    """Value that counts as 0; with `value_low` = `value_high` the range is that of each node."""
    value_high: float = 0.0
    """Value that counts as 1."""


@dataclass(frozen=True)
class GumbelConfig:
    """Set the constants of Gumbel AlphaZero and MuZero (Danihelka et al. 2022)."""

    considered: int = 16
    """Slots that sequential halving starts with at the root."""
    scale: float = 1.0
    """Factor of the Gumbel noise at the root; 0: none."""
    value_scale: float = 0.1
    """Factor of the completed values against the logits."""
    visit_offset: float = 50.0
    """Visits that are added to the most visited slot's in that factor."""
    rescale: bool = True
    """Whether the completed values of a node are rescaled to 0..1 first."""


@dataclass(frozen=True)
class UctConfig:
    """Set the constants of UCT (Kocsis and Szepesvári 2006)."""

    exploration: float = 1.4142135
    """Factor c of sqrt(ln n / n_a), in units of the value."""
    temperature: float = 0.0
    """As in PUCT."""
    shuffle: bool = True
    """Whether slots that nobody has tried, and whose logits are equal, come in random order."""


@dataclass(frozen=True)
class WideningConfig:
    """Open the slots of a node one by one as it is visited (Coulom 2007; Couëtoux et al. 2011)."""

    constant: float = 1.0
    """Factor C: a node of n visits has C * n ** exponent open slots, at least one."""
    exponent: float = 0.5
    """The exponent."""


@dataclass(frozen=True)
class SearchConfig:
    """Choose the budget of one search and how it spends it."""

    simulations: int = 64
    """Simulations of each position."""
    seconds: float = 0.0
    """Wall-clock budget of one call [s]; 0: none.  With both, whichever ends first."""
    rule: Rule = "gumbel"
    """How slots are chosen: "puct", "gumbel" or "uct"."""
    puct: PuctConfig = field(default_factory=PuctConfig)
    """Constants of "puct"."""
    gumbel: GumbelConfig = field(default_factory=GumbelConfig)
    """Constants of "gumbel"."""
    uct: UctConfig = field(default_factory=UctConfig)
    """Constants of "uct"."""
    max_depth: int = 0
    """Actions below the root at which a simulation stops and judges again; 0: no limit."""
    solve: bool = False
    """Back proven values up (Winands et al. 2008).  For models without chance alone."""
    best_value: float = 1.0
    """Value that cannot be beaten, a win: one move that is proven to give it proves a node."""
    parallel_leaves: int = 1
    """Leaves of one tree that are judged in one call; more keep a large network busy."""
    virtual_loss: float = 1.0
    """Value that a slot loses for each leaf that waits below it; 0: waiting leaves only count."""
    widening: WideningConfig | None = None
    """How slots open with visits; None: all are open at once."""
    backend: Backend = "auto"
    """"kernels" (compiled, CPU), "torch" (readable, any device), or "auto": by the device."""

    def __post_init__(self) -> None:
        for name in ("simulations", "parallel_leaves"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seconds", "max_depth", "virtual_loss"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name, valid in (("rule", RULES), ("backend", BACKENDS)):
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; the choices are {', '.join(valid)}"
                )
        if self.gumbel.considered < 1:
            raise ValueError(f"considered must be at least 1, got {self.gumbel.considered}")
        if not 0.0 <= self.puct.dirichlet_fraction <= 1.0 or self.puct.dirichlet_alpha <= 0.0:
            raise ValueError(
                "dirichlet_fraction must be in 0..1 and dirichlet_alpha positive, got "
                f"{self.puct.dirichlet_fraction} and {self.puct.dirichlet_alpha}"
            )


RULES = ("puct", "gumbel", "uct")
BACKENDS = ("auto", "kernels", "torch")
