"""The league seats opponents as promised: fixed for a game, sides swapped, never trained on."""

import numpy as np
import pytest
import torch
from torch import nn

from simrl.core import PolicyOutput
from simrl.core.plugins import make_env
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.observers import Observer
from simrl.selfplay.league import LEARNER, PAST, SCRIPTED, SELF, League, LeagueConfig, split_rows

ROCK, PAPER = 0, 1


class Legal:
    """Play random legal moves; say who it is by a log-probability, and count its calls."""

    reads = frozenset({"action_mask"})

    def __init__(self, mark=0.0):
        self.mark, self.calls = mark, 0

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        self.calls += 1
        noise = torch.rand(obs["action_mask"].shape, generator=rng)
        action = torch.where(obs["action_mask"], noise, -1.0).argmax(-1, keepdim=True)
        return PolicyOutput(action, {}, {"log_prob": torch.full((len(noise),), self.mark)})


class Always(Legal):
    """Always choose the same."""

    def __init__(self, choice):
        super().__init__()
        self.choice = choice

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(torch.full((len(obs["action_mask"]), 1), self.choice))


class Watch(Observer):
    """Note who sits where at every step, and which games ended in it."""

    def __init__(self):
        self.seats, self.done, self.numbers = [], [], {}

    def on_act(self, record):
        seats = torch.full(record.action.shape[:2], -1).flatten()
        for act in record.acts:
            seats[act.rows] = self.numbers.setdefault(act.name, len(self.numbers))
        self.seats.append(seats.view(record.action.shape[:2]))

    def on_step(self, record, timestep):
        self.done.append(timestep.done.clone())


def frozen(made):
    def make():
        net = nn.Linear(1, 1, bias=False)
        policy = Legal(mark=-2.0)
        made.append((net, policy))
        return net, policy

    return make


def weights(value):
    return {"weight": torch.full((1, 1), float(value))}


def build(
    config, num_envs=24, env="tic-tac-toe", scripted=None, learner=None, observers=(), seed=3
):
    games = make_env(env, num_envs)
    made = []
    scripted = scripted or {"script": Legal(mark=-1.0), "other": Legal(mark=-1.0)}
    league = League(
        games.spec,
        num_envs,
        learner or Legal(mark=-7.0),
        frozen(made),
        scripted,
        config,
        seed=seed,
    )
    engine = RolloutEngine(
        games, league.seating, seed=seed, matchmaker=league, observers=[*observers, league]
    )
    return league, engine, made


MIXED = LeagueConfig(
    self_share=0.25,
    scripted_share=0.25,
    scripted=("script", "other"),
    choice="uniform",
    scripted_choice="uniform",
    snapshot_steps=100,
    max_snapshots=4,
    seated_snapshots=2,
)


def test_rows_are_split_by_the_shares_and_sides_alternate():
    spec = make_env("tic-tac-toe", 1).spec
    rows = split_rows(spec, 10, LeagueConfig(0.5, 0.2, ("script",)))
    assert rows.kind.tolist() == [SELF] * 5 + [PAST] * 3 + [SCRIPTED] * 2
    trains = rows.trains(spec)
    assert trains[:5].all()
    # Against others the learner holds the seat of its side: rows 5, 7, 9 the second, 6 and 8 the
    # first.
    assert trains[5:].tolist() == [[False, True], [True, False]] * 2 + [[False, True]]


def test_a_league_needs_two_teams():
    with pytest.raises(ValueError, match="needs two teams, but cart-pole has 1"):
        split_rows(make_env("cart-pole", 1).spec, 4, LeagueConfig())


def test_an_opponent_stays_for_the_whole_game():
    watch = Watch()
    league, engine, _ = build(MIXED, observers=[watch])
    for update in range(12):
        league.update(100 * update, weights(update))
        engine.collect(5)
    changes = 0
    for before, after, done in zip(watch.seats, watch.seats[1:], watch.done, strict=False):
        moved = (before != after).any(dim=1)
        assert not (moved & ~done).any()
        changes += int(moved.sum())
    # Otherwise nothing was tested.
    assert changes > 20


def test_nobody_learns_from_the_opponents():
    league, engine, _ = build(MIXED)
    for update in range(4):
        league.update(100 * update, weights(update))
        buffer = engine.collect(6)
        # The learner's own samples carry its mark; the others' marks are -1 and -2.
        assert (buffer.log_prob == -7.0).all()
        lanes = {tuple(lane) for lane in buffer.lanes.tolist()}
        seats = {tuple(seat) for seat in league.rows.trains(engine.env.spec).nonzero().tolist()}
        assert lanes == seats
    # 6 rows of self-play hold two lanes each, the 18 others one.
    assert buffer.num_lanes == 2 * 6 + 18


def test_a_past_opponent_changes_only_while_nobody_plays_against_it():
    league, engine, _ = build(MIXED)
    changed = kept_while_busy = 0
    for update in range(30):
        busy = [league._is_busy(slot) for slot in league.slots]
        held = [slot.net.weight.item() for slot in league.slots]
        league.update(100 * update, weights(update))
        for slot, was_busy, value in zip(league.slots, busy, held, strict=True):
            if slot.net.weight.item() != value:
                assert not was_busy
                changed += 1
            kept_while_busy += was_busy
        engine.collect(3)
    assert changed > 5
    assert kept_while_busy > 5


def test_open_slots_hold_distinct_snapshots_of_their_weights():
    league, engine, _ = build(MIXED)
    for update in range(10):
        league.update(100 * update, weights(update))
        seated = [slot for slot in league.slots if slot.open]
        assert len({slot.snapshot for slot in seated}) == len(seated) <= 2
        for slot in seated:
            assert slot.net.weight.item() == int(slot.snapshot.split("-")[1]) / 100
        engine.collect(4)


def test_one_forward_for_each_opponent_however_many_games():
    league, engine, made = build(MIXED, num_envs=200)
    for update in range(4):
        league.update(100 * update, weights(update))
        engine.collect(5)
    policies = [*league.seating.policies.values()]
    for policy in policies:
        policy.calls = 0
    for _ in range(10):
        seated = len(league.seating.policy_index.unique())
        before = sum(policy.calls for policy in policies)
        engine.collect(1)
        assert sum(policy.calls for policy in policies) - before == seated
    assert max(policy.calls for policy in policies) == 10
    # The number of networks is fixed, so a long run does not grow.
    assert len(made) == 4


def test_wins_are_counted_for_the_learner_on_both_sides():
    config = LeagueConfig(0.0, 1.0, ("rock",))
    league, engine, _ = build(
        config,
        num_envs=4,
        env="rock-paper-scissors",
        scripted={"rock": Always(ROCK)},
        learner=Always(PAPER),
    )
    engine.collect(5)
    assert sorted(league.rows.side.tolist()) == [0, 0, 1, 1]
    assert league.payoff.games(LEARNER, "rock") == 4 * 5
    assert league.payoff.win_rate(LEARNER, "rock")[0] == 1.0
    assert league.metrics()["league/win_rate/rock"] == 1.0
    ratings = league.skill.ratings()
    assert ratings[LEARNER].mean > ratings["rock"].mean


def test_games_against_itself_are_not_counted():
    league, engine, _ = build(LeagueConfig(self_share=1.0), env="rock-paper-scissors")
    league.update(0, weights(0))
    engine.collect(4)
    assert league.payoff.wins.sum() == league.payoff.draws.sum() == 0
    assert league.slots == []


def test_before_the_first_snapshot_the_learner_meets_itself():
    league, engine, _ = build(LeagueConfig(self_share=0.5), num_envs=4)
    buffer = engine.collect(2)
    assert set(league.seating.policy_index.flatten().tolist()) == {0}
    # The seats that it holds as an opponent do not train.
    assert buffer.num_lanes == 2 * 2 + 2


def test_the_hardest_opponent_is_met_most():
    config = LeagueConfig(0.0, 1.0, ("rock", "paper", "scissors"))
    scripted = {name: Always(choice) for choice, name in enumerate(config.scripted)}
    league, engine, _ = build(
        config, num_envs=32, env="rock-paper-scissors", scripted=scripted, learner=Always(PAPER)
    )
    engine.collect(60)
    games = {name: league.payoff.games(LEARNER, name) for name in scripted}
    # Paper loses to scissors, draws with paper and beats rock: (1 - x)^2 is 1, 1/4 and 0.
    assert games["scissors"] > games["paper"] > games["rock"]
    assert games["scissors"] / sum(games.values()) == pytest.approx(0.8, abs=0.08)


def test_crowded_snapshots_are_dropped_and_the_ends_kept():
    league, _, _ = build(LeagueConfig(self_share=0.5, snapshot_steps=10, max_snapshots=3))
    for steps in (0, 10, 20, 1000):
        for known in league.snapshots:
            league.payoff.record(LEARNER, known, 1)
            league.skill.record(LEARNER, known, 1)
        league.freeze(steps, weights(steps))
    # Of 10 (neighbours 20 apart) and 20 (990 apart), 10 is the more crowded.
    assert [int(name.split("-")[1]) for name in league.snapshots] == [0, 20, 1000]
    # The results of the dropped one go too, so that a long run does not grow.
    assert league.payoff.names == [LEARNER, *league.snapshots]
    assert league.payoff.wins.shape == (4, 4)
    # Against the first: a game before each of 3 freezes, and each freeze leaves 0.9 of them.
    assert league.payoff.games(LEARNER, "snapshot-000000000000") == pytest.approx(
        0.9 + 0.81 + 0.729
    )
    assert set(league.skill.ratings()) == {LEARNER, *league.snapshots}


def test_snapshots_do_not_follow_the_learner():
    league, _, _ = build(LeagueConfig(self_share=0.5))
    live = weights(1.0)
    name = league.freeze(0, live)
    live["weight"].fill_(9.0)
    assert league.snapshots[name]["weight"].item() == 1.0


def test_a_restored_league_goes_on_alike():
    league, engine, _ = build(MIXED)
    for update in range(6):
        league.update(100 * update, weights(update))
        engine.collect(5)
    twin, other, _ = build(MIXED, seed=99)
    twin.load_state_dict(league.state_dict())
    other.load_state_dict(engine.state_dict())
    for update in range(6, 10):
        for each in (league, twin):
            each.update(100 * update, weights(update))
        first, second = engine.collect(5), other.collect(5)
        assert torch.equal(league.seating.policy_index, twin.seating.policy_index)
        assert torch.equal(first.obs["action_mask"], second.obs["action_mask"])
    assert np.array_equal(league.payoff.wins, twin.payoff.wins)
    assert league.skill.ratings() == twin.skill.ratings()
    assert [slot.snapshot for slot in league.slots] == [slot.snapshot for slot in twin.slots]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"self_share": 1.5}, "self_share must be from 0 to 1"),
        ({"self_share": 0.9, "scripted_share": 0.2, "scripted": ("x",)}, "more than 1"),
        ({"scripted_share": 0.1}, "no scripted policies are named"),
        ({"choice": "best"}, "unknown choice 'best'; the choices are latest"),
        ({"seated_snapshots": 0}, "seated_snapshots must be at least 1"),
    ],
)
def test_config_errors(change, message):
    with pytest.raises(ValueError, match=message):
        LeagueConfig(**change)


def test_an_unknown_scripted_policy_is_named():
    with pytest.raises(ValueError, match=r"unknown scripted policy 'x'; the policies are script"):
        build(LeagueConfig(0.5, 0.2, ("x",)))
