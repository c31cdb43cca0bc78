"""The environment keeps the contract: legal actions, resets, seeds, snapshots, requests, errors."""

import itertools
import time

import numpy as np
import pytest
import torch

from simrl.core.checks import check_dynamics, check_env
from simrl_envs.moba import MobaConfig, MobaDynamics, MobaEnv
from simrl_envs.moba import records as rec
from simrl_envs.moba.mask import random_legal


def make(num_envs=4, **options):
    return MobaEnv(MobaConfig(**{"threads": 1, **options}), num_envs)


def play(env, obs, steps, seed=0, see=lambda step: None):
    """Play legal draws; actions follow from the masks and `seed`."""
    actions = np.zeros((env.num_envs, env.spec.num_agents, rec.NUM_HEADS), np.int64)
    width = env.tables.shape.num_targets
    for step in range(steps):
        mask = obs["action_mask"].numpy()
        random_legal(
            mask.reshape(-1, mask.shape[-1]), width, np.int64(seed + step), actions.reshape(-1, 5)
        )
        timestep = env.step(torch.from_numpy(actions))
        see(timestep)
        obs = timestep.obs
    return obs


# A game of another size compiles anew, which takes half a minute the first time.
@pytest.mark.parametrize("team_size", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_larger_teams_keep_the_contract(team_size):
    check_env(lambda n: make(n, team_size=team_size, max_minutes=0.1), num_steps=60)


def test_agents_that_buy_keep_the_contract():
    check_env(lambda n: make(n, agent_buys=True, max_minutes=0.1), num_steps=60)


def test_dynamics_of_a_team_game_agree_with_the_environment():
    config = MobaConfig(team_size=3, max_minutes=0.1, threads=1)
    check_dynamics(MobaDynamics(config), MobaEnv(config, 3))


def test_a_random_million_is_legal_in_small():
    _play_legally(steps=400, num_envs=32)


@pytest.mark.slow
def test_a_million_random_steps_are_legal():
    _play_legally(steps=2000, num_envs=256)  # 2000 * 256 * 2 agents


def _play_legally(steps, num_envs):
    """The environment must accept every draw, and so must the contract's own check."""
    env = make(num_envs, agent_buys=True)
    env.reset(1)
    env.games["heroes"]["gold"] = 5000.0  # enough to shop with
    obs = env.restore(env.snapshot())
    mask_before = obs["action_mask"].clone()
    counts = np.zeros(rec.NUM_BUTTONS)

    def see(timestep):
        counts[:] += np.bincount(env._actions[..., 0].ravel(), minlength=rec.NUM_BUTTONS)
        env.spec.actions.check(mask_before, torch.from_numpy(env._actions), env.spec.id)
        mask = timestep.obs["action_mask"]
        mask_before.copy_(mask)
        alive = timestep.obs["alive"]
        assert bool(mask[..., : rec.NUM_BUTTONS].any(-1).all())
        # The dead have one button, "none".
        assert bool((mask[..., : rec.NUM_BUTTONS].sum(-1)[~alive] == 1).all())

    play(env, obs, steps, see=see)
    assert (counts > 0).all(), counts  # every button was tried


def test_an_illegal_action_names_env_agent_head_and_value():
    env = make(3)
    env.reset(0)
    before = env.snapshot()
    action = torch.zeros(3, 2, 5, dtype=torch.int64)
    action[2, 1] = torch.tensor([rec.BUTTON_ATTACK, 0, 0, 0, 1])  # the enemy is out of sight
    with pytest.raises(ValueError, match=r"environment 2, agent 1: value 1 of head 'target'"):
        env.step(action)
    assert torch.equal(env.snapshot(), before)
    action[2, 1] = torch.tensor([rec.BUTTON_MOVE, 16, 0, 0, 0])
    with pytest.raises(ValueError, match=r"environment 2, agent 1.*value 16 of head 'move'"):
        env.step(action)
    action[2, 1] = torch.tensor([rec.BUTTON_MOVE, 3, 99, -5, 77])  # these heads do not count
    env.step(action)


@pytest.mark.parametrize(
    "action",
    [torch.zeros(2, 2, 5), torch.zeros(3, 2, 5, dtype=torch.int64)],
    ids=["float", "rows"],
)
def test_actions_of_a_wrong_kind_are_refused(action):
    env = make(2)
    env.reset(0)
    with pytest.raises(ValueError, match=r"expected int64 actions \(2, 2, 5\)"):
        env.step(action)


def test_heads_that_do_not_count_change_nothing():
    first, second = make(2), make(2)
    first.reset(3)
    second.reset(3)
    plain = torch.zeros(2, 2, 5, dtype=torch.int64)
    plain[..., 0], plain[..., 1] = rec.BUTTON_MOVE, 5
    noisy = plain.clone()
    noisy[..., 2:] = 2
    first.step(plain)
    second.step(noisy)
    assert torch.equal(first.snapshot(), second.snapshot())


def test_one_thread_and_three_give_the_same_bits():
    one, three = make(200), make(200, threads=3)
    ends = [play(env, env.reset(5), 60) for env in (one, three)]
    assert torch.equal(one.snapshot(), three.snapshot())
    assert torch.equal(ends[0]["policy"], ends[1]["policy"])


def test_seeds_draw_all_heroes_on_both_sides_and_differ():
    env = make(256)
    env.reset(0)
    drawn = env.games["heroes"]["hero"].copy()
    assert set(drawn[:, 0]) == set(drawn[:, 1]) == set(range(len(env.tables.heroes)))
    assert (drawn[:, 0] != drawn[:, 1]).mean() > 0.6  # independent: 5 of 6 differ on average
    env.reset(1)
    assert (env.games["heroes"]["hero"] != drawn).any()
    env.reset(0)
    assert (env.games["heroes"]["hero"] == drawn).all()


def test_heroes_follow_the_config():
    env = make(16, heroes=("orrin", "sable"), seats=("", "sable"))
    env.reset(0)
    ids = env.games["heroes"]["hero"]
    orrin, sable = env.tables.hero_id("orrin"), env.tables.hero_id("sable")
    assert set(ids[:, 0]) == {orrin, sable}
    assert set(ids[:, 1]) == {sable}
    team = make(16, team_size=3, mirror=True)
    team.reset(0)
    ids = team.games["heroes"]["hero"]
    assert (ids[:, :3] == ids[:, 3:]).all()
    assert all(len(set(row)) == 3 for row in ids[:, :3])  # no hero twice in a team


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heroes": ("luna",)}, "unknown hero 'luna'; the heroes are"),
        ({"heroes": ("sable", "sable")}, "must not repeat"),
        ({"seats": ("sable",)}, "each of the 2 agents"),
        ({"team_size": 9}, "team_size must be from 1 to 5, got 9"),
        ({"time_scaling": 0.0}, "time_scaling"),
        ({"weight_gold": float("nan")}, "finite"),
        ({"max_minutes": 0.0}, "max_minutes"),
        ({"data_dir": "/no/such/folder"}, "unknown map '1v1'"),
    ],
)
def test_wrong_options_are_refused_with_the_valid_ones(options, message):
    with pytest.raises(ValueError, match=message):
        make(1, **options)


def test_request_returns_what_it_was_asked_for():
    env = make(2)
    assert {"critic", "state"} <= set(env.reset(0))
    env.request({"policy", "state"})
    obs = env.reset(0)
    assert set(obs) == {"policy", "action_mask", "alive", "state"}
    assert torch.equal(obs["state"], env.snapshot())
    with pytest.raises(ValueError, match="unknown group 'pixels'; the groups are policy"):
        env.request({"pixels"})


def test_the_crystal_ends_the_game_and_pays_the_winner(edited):
    env = make(2)
    env.reset(0)
    units = env.games[0]["units"]
    start = env.tables.shape.structure_start
    units["alive"][start + 2] = 0  # red's tower is down
    env.games[0]["fallen"] = (0, 1)
    units["hp"][start + 3] = 1.0
    units["x"][0], units["y"][0] = 45.0, 0.0
    obs = edited(env)
    action = torch.zeros(2, 2, 5, dtype=torch.int64)
    action[0, 0] = torch.tensor([rec.BUTTON_ATTACK, 0, 0, 0, 11])
    rewards = []
    for _ in range(30):
        assert bool(obs["action_mask"][0, 0, rec.BUTTON_ATTACK])
        timestep = env.step(action)
        rewards.append(timestep.reward_terms[0].clone())
        if timestep.terminated[0]:
            break
    assert timestep.terminated.tolist() == [True, False]
    assert not timestep.truncated.any()
    win = env.spec.reward_terms.index("win")
    # Zero-sum: the winner's 1 less the loser's -1.
    assert rewards[-1][:, win].tolist() == [2.0, -2.0]
    assert timestep.metrics["outcome"][0].tolist() == [1.0, -1.0]
    assert timestep.metrics["crystals_taken"][0].tolist() == [1.0, 0.0]
    assert timestep.metrics["towers_taken"][0].tolist() == [1.0, 0.0]
    assert float(timestep.metrics["ended_by_crystal"][0]) == 1.0
    # The new game has begun, and final_obs still shows the old one, with blue before the crystal.
    layout = env.spec.observations["policy"]
    assert float(layout.split(timestep.obs["policy"])["globals"][0, 0, 0]) == 0.0
    own_x = float(layout.split(timestep.final_obs["policy"])["own"][0, 0, 8])
    assert own_x == pytest.approx(45 / 60, abs=0.1)
    assert int(env.games[0]["tick"]) == 0


def test_a_game_replays_from_its_snapshot_and_actions():
    env = make(8, max_minutes=1.0)
    play(env, env.reset(2), 50)
    start = env.snapshot()
    taken = []
    play(env, env.restore(start), 700, see=lambda _: taken.append(env._actions.copy()))
    end = env.snapshot()
    other = make(8, max_minutes=1.0)
    other.restore(start)
    for action in taken:
        other.step(torch.from_numpy(action))
    assert torch.equal(other.snapshot(), end)


def test_snapshot_and_restore_take_less_than_50_microseconds_a_game():
    env = make(256)
    env.request({"policy"})
    env.reset(0)
    env.restore(env.snapshot())
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        env.restore(env.snapshot())
        best = min(best, time.perf_counter() - start)
    assert best / 256 < 50e-6


def test_restore_refuses_what_is_no_snapshot():
    env = make(2)
    with pytest.raises(ValueError, match="expected a uint8 snapshot"):
        env.restore(torch.zeros(2, 7, dtype=torch.uint8))
    env.reset(0)
    with pytest.raises(ValueError, match="rows must be from 0 to 1"):
        env.restore(env.snapshot()[:1], torch.tensor([2]))


def test_dynamics_keep_an_ended_game_and_refuse_values_out_of_range():
    config = MobaConfig(threads=1, max_minutes=0.05)
    env, dynamics = MobaEnv(config, 2), MobaDynamics(config)
    env.reset(0)
    state = env.snapshot()
    action = torch.zeros(2, 2, 5, dtype=torch.int64)
    for _ in range(env.spec.max_steps + 3):
        state, reward, discount = dynamics.step(state, action)
    after, reward, discount = dynamics.step(state, action)
    assert torch.equal(after, state)
    assert reward.abs().max() == 0
    assert discount.tolist() == [1.0, 1.0]  # cut by time, not ended by the rules
    action[1, 0, 0] = 8
    with pytest.raises(ValueError, match=r"row 1, agent 0"):
        dynamics.step(state, action)


def test_dynamics_observe_as_the_environment_does():
    env, dynamics = make(4), MobaDynamics(MobaConfig(threads=1))
    obs = play(env, env.reset(0), 200)
    seen = dynamics.observe(env.snapshot())
    for group in obs:
        assert torch.equal(seen[group], obs[group]), group


def test_outcomes_and_minutes_are_reported_at_the_time_limit():
    env = make(4, max_minutes=0.2)
    steps = []
    play(env, env.reset(0), env.spec.max_steps, see=lambda t: steps.append(t.truncated.clone()))
    assert [bool(t.any()) for t in steps] == [False] * (env.spec.max_steps - 1) + [True]
    assert float(env._timestep.metrics["minutes"][0]) == pytest.approx(0.2)
    assert env._timestep.metrics["outcome"].abs().max() == 0


def test_slices_cover_every_row_once():
    from simrl_envs.moba.slices import SLICE_ROWS, SlicePool

    for threads, rows in itertools.product((1, 2, 3), (1, SLICE_ROWS, 2 * SLICE_ROWS + 1, 500)):
        seen = np.zeros(rows, np.int64)

        def count(first, last, seen=seen):
            seen[first:last] += 1

        SlicePool(threads).run(count, rows)
        assert (seen == 1).all()


def test_an_error_in_a_worker_reaches_the_caller():
    from simrl_envs.moba.slices import SlicePool

    def fail(first, last):
        if first:
            raise RuntimeError("broken slice")

    with pytest.raises(RuntimeError, match="broken slice"):
        SlicePool(2).run(fail, 1000)
