"""`simrl prefs rlhf`: three steps in one command, resumed, reported, refused."""

import json
from xml.etree import ElementTree

import pytest

SMALL = (
    *("--num-envs", "8", "--steps", "2048", "--queries.labels", "30", "--model.hidden", "64", "64"),
    *("--critic-updates", "2", "--evaluation.games", "4", "--cloning.epochs", "1"),
    *("--demonstration-steps", "32", "--cloning.held-out", "0", "--fit.epochs", "5"),
)


def test_three_steps_a_picture_and_a_report(simrl, tmp_path):
    run = tmp_path / "run"
    code, out, _ = simrl("prefs", "rlhf", "cart-pole", *SMALL, "--out", run)
    assert code == 0
    assert "2 of 3: a reward model from 30 comparisons" in out
    assert "trained 2,048 agent-steps" in out
    picture = ElementTree.parse(run / "overoptimisation.svg")  # not only part of a page
    assert picture.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in (run / "overoptimisation.svg").read_text()
    code, out, _ = simrl("prefs", "report", run, "--json")
    figures = json.loads(out)
    assert code == 0
    assert figures["rlhf/kl"] > 0
    assert {"rlhf/gold", "rlhf/proxy", "rlhf/gold_start", "reward/accuracy"} <= figures.keys()
    code, out, _ = simrl("prefs", "rlhf", "cart-pole", "--resume", run, "--steps", "3072")
    assert code == 0
    assert "trained 3,072 agent-steps" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--steps", "9"), "name a preset first; the presets are cart-pole, pendulum"),
        (("chess",), "unknown preset 'chess'"),
        (("cart-pole", "--teacher", "human"), "give data"),
        (("cart-pole", "--steps", "9", "--minutes", "1"), "not both"),
    ],
)
def test_mistakes_are_told_in_one_line(simrl, words, why):
    code, _, err = simrl("prefs", "rlhf", *words)
    assert code != 0
    assert why in err
    assert len(err.strip().splitlines()) == 1
