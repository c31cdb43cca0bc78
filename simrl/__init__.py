"""Train, search, control, compare and listen: one engine that runs every kind of controller."""

__version__ = "0.1.0"
