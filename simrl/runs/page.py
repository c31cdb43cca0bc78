"""Where the labelling page beside a run is served; needs none of the page's packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageConfig:
    """Say where the labelling page beside a run is served."""

    host: str = "127.0.0.1"
    """Address to serve on; beyond this machine only if people have accounts."""
    port: int = 8642
    """Port to serve on."""
    metrics: bool = False
    """Show the figures of the clips at once, instead of when the person asks for them."""
