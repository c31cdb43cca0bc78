"""The learner of searched positions: its loss by hand, symmetries, and what it refuses."""

import math

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.ppo import NonFiniteLossError
from simrl.learn.replay import Positions, SearchReplay
from simrl.learn.search_learner import SearchLearner, SearchLearnerConfig, Symmetry
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.encoders import EncoderConfig


def make_net(**changes):
    config = ActorCriticConfig(hidden=(16,), encoder=EncoderConfig(maps="flat"), **changes)
    return ActorCritic(make_env("tic-tac-toe", 1).spec, config)


def board(count=1, taken=()):
    """Return positions in which the cells `taken` are own stones; the target is cell 8."""
    policy_obs = torch.zeros(count, 19)
    policy_obs[:, list(taken)] = 1.0
    policy_obs[:, 18] = 1.0
    mask = torch.ones(count, 10, dtype=torch.bool)
    mask[:, [*taken, 9]] = False
    target = torch.zeros(count, 9)
    target[:, 8] = 1.0
    return Positions(
        obs={"policy": policy_obs, "action_mask": mask},
        policy=target,
        value=torch.zeros(count),
        outcome=torch.ones(count),
        state=torch.zeros(count, 4, dtype=torch.uint8),
        seat=torch.zeros(count, dtype=torch.int64),
    )


def test_the_loss_by_hand():
    net = make_net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.head.bias[-1] = 0.5  # the value everywhere
        net.head.bias[8] = math.log(3.0)
    learner = SearchLearner(net, SearchLearnerConfig(value_coef=2.0, value_share=0.25))
    loss, parts = learner.loss(board(4, taken=(0, 1)))
    # Legal are 7 cells: six of weight 1 and cell 8 of weight 3, so p = 3/9.
    assert parts["policy"].item() == pytest.approx(math.log(3.0), rel=1e-6)
    assert parts["policy_kl"].item() == pytest.approx(math.log(3.0), rel=1e-6)
    # The target is 3/4 of the outcome 1: the error is 1/4.
    assert parts["value"].item() == pytest.approx(1 / 16)
    assert parts["search_gap"].item() == pytest.approx(0.5)
    assert loss.item() == pytest.approx(math.log(3.0) + 2 / 16, rel=1e-6)


def test_it_learns_what_the_search_preferred_and_how_games_ended():
    torch.manual_seed(0)
    net = make_net()
    replay = SearchReplay(64)
    replay.add(board(32, taken=(0, 1)))
    learner = SearchLearner(
        net, SearchLearnerConfig(minibatch_size=32, learning_rate=0.01, value_share=0.0)
    )
    learner.update(replay, 300, 0.0)
    dist, value, _ = net.act_step(board(taken=(0, 1)).obs, {})
    assert dist.mode().item() == 8
    assert value.item() == pytest.approx(1.0, abs=0.05)


def test_the_step_size_follows_the_run():
    replay = SearchReplay(8)
    replay.add(board(8))
    config = SearchLearnerConfig(learning_rate=0.01, learning_rate_end=0.002, minibatch_size=4)
    learner = SearchLearner(make_net(), config)
    rates = [learner.update(replay, 1, share)["loss/learning_rate"] for share in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([0.01, 0.006, 0.002])
    assert learner.optimiser.param_groups[0]["lr"] == pytest.approx(0.002)
    # Nothing due: no figures but the step size.
    assert learner.update(replay, 0, 1.0) == {"loss/learning_rate": pytest.approx(0.002)}


def test_symmetries_turn_observation_mask_and_target_together():
    # Swap cells 0 and 8 everywhere.
    swap = torch.tensor([8, 1, 2, 3, 4, 5, 6, 7, 0])
    obs = torch.cat([swap, 9 + swap, torch.tensor([18])])
    symmetry = Symmetry(
        obs={"policy": obs, "action_mask": torch.cat([swap, torch.tensor([9])])}, slots=swap
    )
    learner = SearchLearner(make_net(), seed=1, symmetries=[symmetry])
    turned = learner.turned(board(400, taken=(0,)))
    was = turned.policy[:, 0] == 1.0
    assert 150 < int(was.sum()) < 250
    for rows, own, target in ((was, 8, 0), (~was, 0, 8)):
        assert (turned.obs["policy"][rows].argmax(-1) == own).all()
        assert (turned.policy[rows].argmax(-1) == target).all()
        assert (~turned.obs["action_mask"][rows]).sum(-1).unique().tolist() == [2]
        assert not turned.obs["action_mask"][rows][:, own].any()
    assert turned.obs["policy"].sum(-1).unique().tolist() == [2.0]


def test_a_loss_that_is_not_finite_stops_and_says_which():
    kept = []
    learner = SearchLearner(make_net(), on_bad_batch=kept.append)
    batch = board(2)
    batch.outcome[1] = torch.nan
    with pytest.raises(NonFiniteLossError, match="the value loss is not finite at update 0"):
        learner.step(batch)
    assert kept[0]["outcome"].isnan().tolist() == [False, True]


def test_networks_that_cannot_be_learned_from_positions():
    with pytest.raises(ValueError, match="must have no memory"):
        SearchLearner(make_net(recurrent="lstm"))
    spec = make_env("identity-heads", 1).spec
    net = ActorCritic(spec, ActorCriticConfig())
    obs = {
        "policy": torch.zeros(2, spec.observations["policy"].size),
        "action_mask": torch.ones(2, spec.actions.mask_size, dtype=torch.bool),
    }
    batch = board(2)
    with pytest.raises(ValueError, match="over one categorical action"):
        SearchLearner(net).loss(Positions.from_flat({**batch.flat(), **_named(obs)}))


def _named(obs):
    return {f"obs/{name}": value for name, value in obs.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"minibatch_size": 0}, "minibatch_size must be positive"),
        ({"value_share": 1.1}, r"value_share must be from 0 to 1, got 1\.1"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
    ],
)
def test_settings_that_are_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        SearchLearnerConfig(**change)
