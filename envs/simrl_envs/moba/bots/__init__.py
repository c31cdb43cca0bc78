"""The scripted ladder: policies from random legal moves to a macro player, weakest first."""

from simrl_envs.moba.bots.policy import KERNELS, LEVELS, RandomLegal, ScriptedBot, make_bot

__all__ = ["KERNELS", "LEVELS", "RandomLegal", "ScriptedBot", "make_bot"]
