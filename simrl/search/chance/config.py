"""Choose the budget of a search over chance nodes, and how its nodes widen."""

from __future__ import annotations

from dataclasses import dataclass, field

from simrl.search.config import PuctConfig, WideningConfig


@dataclass(frozen=True)
class ChanceConfig:
    """Set a search that alternates decisions and chance."""

    simulations: int = 64
    """Simulations of each position."""
    seconds: float = 0.0
    """Wall-clock budget of one call [s]; 0: none.  With both, whichever ends first."""
    puct: PuctConfig = field(default_factory=PuctConfig)
    """Constants of PUCT at decisions, of the noise at the root and of the choice."""
    actions: WideningConfig | None = None
    """How the slots of a decision open with its visits; None: all are open at once."""
    outcomes: WideningConfig = field(default_factory=lambda: WideningConfig(2.0, 0.5))
    """How many sampled outcomes a chance node may hold; for models that tell no chances."""

    def __post_init__(self) -> None:
        if self.simulations < 1:
            raise ValueError(f"simulations must be at least 1, got {self.simulations}")
        if self.seconds < 0:
            raise ValueError(f"seconds must not be negative, got {self.seconds}")
        for name, widening in (("actions", self.actions), ("outcomes", self.outcomes)):
            if widening is not None and (widening.constant <= 0 or not 0 < widening.exponent <= 1):
                raise ValueError(
                    f"{name}: widening needs a positive constant and an exponent in (0, 1], got "
                    f"{widening.constant} and {widening.exponent}"
                )
