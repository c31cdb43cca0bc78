import pytest
import torch

from simrl.rollout import choose_threads, torch_threads
from simrl.rollout.threads import usable_cores


def test_small_batches_stay_on_one_thread():
    assert choose_threads(1) == choose_threads(64) == 1
    assert 1 <= choose_threads(10**9) <= usable_cores()


def test_threads_are_put_back_even_after_an_error():
    before = torch.get_num_threads()
    other = before + 1
    with pytest.raises(KeyError), torch_threads(other):
        assert torch.get_num_threads() == other
        raise KeyError
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="at least 1, got 0"), torch_threads(0):
        pass
