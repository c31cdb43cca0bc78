"""The tables of the MOBA guide say what the code says."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

import simrl_envs.moba
from simrl.core.plugins import env_plugin, make_env
from simrl_envs.moba import MobaConfig

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "moba.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the cells of the rows below the header that starts with `| heading |`."""
    lines = PAGE.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_reward_terms():
    spec = make_env("moba-1v1", 1).spec
    listed = [(term.strip("`"), group, float(weight)) for term, group, _, weight in table("term")]
    rows = zip(spec.reward_terms, spec.reward_groups, spec.reward_weights, strict=True)
    assert listed == [(term, group, pytest.approx(weight)) for term, group, weight in rows]


def test_observation_blocks():
    layout = make_env("moba-1v1", 1, local_map=True).spec.observations["policy"]
    listed = [(name.strip("`"), shape) for name, shape, _ in table("block")]
    assert listed == [(b.name, " x ".join(map(str, b.shape))) for b in layout.blocks]


def test_action_heads():
    heads = make_env("moba-1v1", 1).spec.actions.heads
    assert [row[0].strip("`") for row in table("head")] == [head.name for head in heads]
    assert table("head")[0][1] == ", ".join(heads[0].choices)


def test_options():
    listed = {name for row in table("option") for name in re.findall(r"`(\w+)`", row[0])}
    fields = {field.name for field in dataclasses.fields(MobaConfig)}
    weights = {name for name in fields if name.startswith("weight_")}
    assert listed - {"weight_TERM"} == fields - weights


def test_heroes_and_their_skills():
    data = Path(simrl_envs.moba.__file__).parent / "data" / "heroes.toml"
    heroes = tomllib.loads(data.read_text(encoding="utf-8"))
    # The first table names hero, role and passive, the second one row for each skill.
    listed = [(row[0], row[1], re.match(r"`(\w+)`", row[3])[1]) for row in table("hero | role")]
    assert listed == [(name, hero["role"], hero["passive"]) for name, hero in heroes.items()]
    skills = [(skill["name"], skill) for hero in heroes.values() for skill in hero["skills"]]
    rows = table("hero | skill")
    assert [row[1] for row in rows] == [name for name, _ in skills]
    for (_, _, aim, delivery, effects), (name, skill) in zip(rows, skills, strict=True):
        assert aim.split()[0] == skill["aim"], name
        assert skill["delivery"] in delivery, name
        for effect in skill["effects"]:
            word = effect["kind"] if effect["kind"] != "damage" else f"{effect['damage']} damage"
            assert word in effects, f"{name}: {word}"


def test_scripted_ladder():
    levels = list(env_plugin("moba-1v1").policies)
    assert [row[0].strip("`") for row in table("level")] == levels
