"""The data files: what ships loads; an error names file, key, value and choices."""

import shutil

import numpy as np
import pytest

from simrl_envs.moba.records import GameShape, game_dtype
from simrl_envs.moba.tables import DATA_DIR, load_tables, map_names

ROLES = {"tank", "fighter", "assassin", "mage", "marksman", "support"}


def test_shipped_data():
    assert map_names() == ("1v1", "3v3", "5v5")
    for name, size, lanes in (("1v1", 1, 1), ("3v3", 3, 2), ("5v5", 5, 3)):
        tables = load_tables(map=name)
        assert (tables.shape.team_size, tables.shape.num_lanes) == (size, lanes)
        assert set(tables.roles) == ROLES
        assert all(len(skills) == 3 for skills in tables.skills)
        assert not tables.record.flags.writeable
    assert game_dtype(GameShape()).itemsize < 5_000


def test_times_become_ticks_and_speeds_metres_a_tick():
    tables = load_tables()
    row = tables.record[0]
    assert row["wave_interval"] == 26 * 15
    assert row["max_ticks"] == 15 * 60 * 15
    assert row["kinds"][1]["attack_interval"] == 15
    assert row["kinds"][1]["move_speed"] == pytest.approx(3.6 / 15)
    assert load_tables(max_minutes=2.0).record["max_ticks"][0] == 2 * 60 * 15


def test_directions_are_exact_opposites():
    directions = load_tables().record["directions"][0]
    np.testing.assert_array_equal(directions[:8], -directions[8:])
    assert directions[0].tolist() == [1.0, 0.0]
    assert directions[4].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(np.hypot(*directions.T), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "heroes.toml",
            'aim = "point"',
            'aim = "cone"',
            "heroes.toml: brakka.skills[1].aim: unknown 'cone'; "
            "the aims are self, target, direction, point",
        ),
        (
            "heroes.toml",
            'passive = "lifesteal"',
            'passive = "luck"',
            "heroes.toml: brakka.passive: unknown 'luck'; the passives are none, nth_hit",
        ),
        (
            "heroes.toml",
            'build = ["oak_shield"',
            'build = ["oak_sheld"',
            "heroes.toml: orrin.build[0]: unknown 'oak_sheld'; the items are long_blade",
        ),
        (
            "heroes.toml",
            'role = "tank"',
            'rolle = "tank"',
            "heroes.toml: orrin.rolle: unknown key; the keys are role, hp",
        ),
        (
            "heroes.toml",
            'role = "tank"\n',
            "",
            "heroes.toml: orrin.role: missing; it must be a text",
        ),
        (
            "heroes.toml",
            'kind = "knockback"',
            'kind = "push"',
            "heroes.toml: orrin.skills[0].effects[1].kind: unknown 'push'; the effects are damage",
        ),
        (
            "heroes.toml",
            'delivery = "dash"',
            'delivery = "area"',
            "heroes.toml: orrin.skills[0].delivery: 'area' does not go with aim 'direction'; "
            "the deliveries are projectile, dash, blink",
        ),
        (
            "rules.toml",
            "backdoor_factor = 0.25",
            "backdoor_factor = 2.5",
            "rules.toml: backdoor_factor: expected a number from 0 to 1, got 2.5",
        ),
        (
            "rules.toml",
            "wave_melee = 3",
            'wave_melee = "three"',
            "rules.toml: wave_melee: expected an integer from 0 to 6, got 'three'",
        ),
        ("rules.toml", "[kinds.siege]", "[kinds.sieg]", "rules.toml: kinds.siege: missing"),
        (
            "items.toml",
            "price = 450.0",
            "price = -1.0",
            "items.toml: long_blade.price: expected a number of at least 1e-09, got -1.0",
        ),
        (
            "map_1v1.toml",
            "relics = [[0.0, 12.0]",
            "relics = [[0.0, 11.0]",
            "map_1v1.toml: relics must be symmetric under a half turn",
        ),
        (
            "map_1v1.toml",
            'kind = "crystal"',
            'kind = "tower"',
            "map_1v1.toml: structures[1].kind: the last structure, and no other, is the crystal",
        ),
        ("map_1v1.toml", "team_size = 1", "team_size = 6", "map_1v1.toml: team_size: expected"),
        ("map_1v1.toml", "team_size = 1", "team_size = ", "map_1v1.toml: not valid TOML"),
    ],
)
def test_errors_name_file_key_value_and_choices(tmp_path, file, old, new, message):
    folder = tmp_path / "data"
    shutil.copytree(DATA_DIR, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError) as error:
        load_tables(folder)
    assert str(error.value).startswith(message)


def test_unknown_map_and_hero_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown map '9v9' .* the maps are 1v1, 3v3, 5v5"):
        load_tables(map="9v9")
    with pytest.raises(ValueError, match="unknown hero 'Luna'; the heroes are orrin, brakka"):
        load_tables().hero_id("Luna")
    with pytest.raises(ValueError, match="team_size must be from 1 to 5, got 6"):
        GameShape(team_size=6)


def test_own_data_folder(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(DATA_DIR, folder)
    text = (folder / "heroes.toml").read_text()
    (folder / "heroes.toml").write_text(
        text.replace("[orrin", "[gorm").replace("[[orrin", "[[gorm")
    )
    assert load_tables(folder).heroes[0] == "gorm"
