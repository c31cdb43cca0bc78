"""What can be set about the labelling page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simrl.preferences.live import LiveConfig
from simrl.preferences.store.types import KINDS


@dataclass(frozen=True)
class WebConfig:
    """Set up the labelling page."""

    title: str = "simrl"
    """Name of the project, shown at the top."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of question that this page asks."""
    metrics: Literal["shown", "hidden", "never"] = "hidden"
    """Figures of a clip: shown, hidden until the person asks for them, or never sent."""
    lease_seconds: float = 120.0
    """How long a question is kept for a person whose page has gone silent [s]."""
    min_seconds: float = 0.3
    """How long clips must have been seen before a key counts, against keys pressed twice [s]."""
    hosts: tuple[str, ...] = ()
    """Host names under which the page may be asked for; none: any (in one-person mode always only
    this machine's own)."""
    proxy: str = ""
    """Address of the reverse proxy in front, whose X-Forwarded headers are believed; "": none."""
    https: bool = False
    """Whether browsers come over https alone (through the proxy): no cookie goes another way."""
    max_body: int = 65_536
    """Largest body of a request [bytes]."""
    session_cache_seconds: float = 5.0
    """How long a session that was found valid is taken for valid without asking the store [s]."""
    store_threads: int = 16
    """Threads that call the store; it commits together what comes at once."""
    live_sessions: int = 2
    """Most live sessions at once; each runs a simulator."""
    live: LiveConfig = field(default_factory=LiveConfig)
    """Bounds of a live session."""

    def __post_init__(self) -> None:
        """Check the values."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
        if self.metrics not in ("shown", "hidden", "never"):
            raise ValueError(f"metrics must be shown, hidden or never, got {self.metrics!r}")
        for name in ("lease_seconds", "max_body", "store_threads", "live_sessions"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("min_seconds", "session_cache_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
