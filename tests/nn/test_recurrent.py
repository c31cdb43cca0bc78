"""Whole-sequence recurrence against stepping by hand, borders of episodes included."""

import pytest
import torch

from simrl.nn.recurrent import Recurrent


def stepped(cell, x, state, episode_start):
    outputs = []
    for t in range(len(x)):
        state = {
            key: value.masked_fill(episode_start[t][:, None], 0.0) for key, value in state.items()
        }
        output, state = cell.step(x[t], state)
        outputs.append(output)
    return torch.stack(outputs)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("share_of_starts", [0.0, 0.1, 0.6, 1.0])
def test_sequence_and_gradients_equal_stepping(kind, share_of_starts):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    cell = Recurrent(kind, 3, 5)
    x = torch.randn(7, 6, 3, generator=generator)
    state = {key: torch.randn(6, 5, generator=generator) for key in cell.keys}
    starts = torch.rand(7, 6, generator=generator) < share_of_starts
    weights = torch.randn(7, 6, 5, generator=generator)
    results = []
    for run in (cell.sequence, lambda *args: stepped(cell, *args)):
        leaf = x.clone().requires_grad_()
        cell.zero_grad()
        output = run(leaf, state, starts)
        (output * weights).sum().backward()
        results.append([output, leaf.grad, *(p.grad.clone() for p in cell.parameters())])
    for whole, by_hand in zip(*results, strict=True):
        assert torch.allclose(whole, by_hand, atol=1e-5)


def test_nothing_crosses_the_border_of_an_episode():
    torch.manual_seed(0)
    cell = Recurrent("lstm", 2, 4)
    x = torch.randn(5, 1, 2, requires_grad=True)
    starts = torch.zeros(5, 1, dtype=torch.bool)
    starts[3] = True
    cell.sequence(x, cell.initial_state(1), starts)[3:].sum().backward()
    assert (x.grad[:3] == 0).all()
    assert (x.grad[3:] != 0).all()


def test_bf16_is_close_to_fp32():
    torch.manual_seed(0)
    cell = Recurrent("lstm", 8, 16)
    x, starts = torch.randn(6, 4, 8), torch.zeros(6, 4, dtype=torch.bool)
    exact = cell.sequence(x, cell.initial_state(4), starts)
    cell.bf16 = True
    rough = cell.sequence(x, cell.initial_state(4), starts)
    assert rough.dtype == torch.float32
    assert (exact - rough).abs().max() < 0.02


def test_unknown_kind_lists_the_valid_ones():
    with pytest.raises(ValueError, match="lstm, gru"):
        Recurrent("rnn", 2, 3)
