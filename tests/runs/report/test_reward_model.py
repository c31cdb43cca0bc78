"""The page about a reward model: what it shows, what it leaves out, and that it stands alone."""

import math
import re

import numpy as np
import pytest
import torch

from simrl.preferences.scores import RewardScores, score_pairs
from simrl.runs.report.reward_model import RewardModelRecord, reward_model_report


def scores(sure=3.0):
    rng = torch.Generator().manual_seed(0)
    sets = {}
    for name, size in (("on policy", 60), ("off policy", 400)):
        logit = 1.5 * torch.randn(size, generator=rng)
        label = (torch.rand(size, generator=rng) < torch.sigmoid(logit)).float()
        label[:5] = 0.5
        sets[name] = (sure * logit, label)
    return RewardScores(
        temperature=sure,
        before={name: score_pairs(*pair) for name, pair in sets.items()},
        after={name: score_pairs(x / sure, y) for name, (x, y) in sets.items()},
    )


def whole_record():
    rng = np.random.default_rng(0)
    true = rng.normal(size=900)
    return RewardModelRecord(
        title="pendulum <3",
        essentials="3 members",
        scores=scores(),
        distances={"EPIC": 0.18, "DARD": 0.12},
        returns=(true, 2 * true + rng.normal(size=900)),
        agreement={"quick-otter": {"share": 0.8, "kappa": 0.6, "pairs": 30.0}},
        labels={"asked": 400, "answered": 390, "ties": 12},
        history=[
            {"reward/pairs": n, "reward/accuracy": 1 - 5 / n, "reward/loss": 9 / n}
            for n in (20, 40, 90)
        ],
        config={"members": 3},
        reservations=["One seed."],
    )


def test_the_page_tells_every_part_in_numbers():
    record = whole_record()
    page = reward_model_report(record)
    assert page.count("<svg") == 5  # two reliability diagrams, the scatter, two curves
    for heading in (
        "Held-out pairs",
        "Calibration",
        "Against the true reward",
        "Agreement with people",
        "Questions and answers",
        "Fits",
        "What this page cannot say",
        "Config",
    ):
        assert f"<h2>{heading}</h2>" in page
    before, after = record.scores.before["off policy"], record.scores.after["off policy"]
    row = re.search(r"<tr><th>off policy</th>.*?</tr>", page).group()
    cells = re.findall(r"<td>(?:<b>)?([^<]*)", row)
    assert cells[:3] == ["400", "5", f"{100 * before.accuracy:.0f} %"]
    assert cells[5:7] == [f"{before.nll:.3f}", f"{after.nll:.3f}"]
    assert after.nll < before.nll
    assert "pendulum &lt;3" in page and "<3" not in page
    assert "80 %" in page and "quick-otter" in page and "of 400 asked" in page
    assert "60 pairs on policy are few" in page and "One seed." in page


def test_the_page_needs_nothing_beside_it():
    page = reward_model_report(whole_record())
    assert not re.search(r'(src|href)="(?!data:|#)', page) and "<script" not in page


def test_a_model_of_which_nothing_is_known_says_so():
    page = reward_model_report(RewardModelRecord("bare"))
    assert "<svg" not in page and "<h2>Held-out pairs" not in page
    assert "No pairs were held out by trajectory" in page
    assert "There is no distance to a true reward" in page


def test_numbers_that_do_not_exist_are_dashes():
    ties = score_pairs(torch.zeros(3), torch.full((3,), 0.5))
    record = RewardModelRecord(
        "ties",
        scores=RewardScores(1.0, {"on policy": ties}, {"on policy": ties}),
        returns=(np.ones(3), np.zeros(3)),
        distances={"EPIC": math.nan},
    )
    page = reward_model_report(record)
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    assert "No temperature was fitted" in page


@pytest.mark.browser
def test_the_page_fits_a_phone(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(reward_model_report(whole_record()), encoding="utf-8")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("figure svg").count() == 5
