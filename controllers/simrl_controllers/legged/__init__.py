"""Legged robots: convex model-predictive control over a whole-body quadratic program."""

from __future__ import annotations
