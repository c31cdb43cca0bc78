"""Bridges to other libraries: `simrl.adapters.gymnasium`, `.pettingzoo`, `.stable_baselines3`.

Each is a module of its own, so that nobody needs the libraries that they do not use.
"""
