"""`simrl compare`: results, one page, the same table again; mistakes in one line beforehand."""

import json
import re
import shutil
import sys

import pytest

from simrl.compare.grid_file import parse_grids
from simrl.core.plugins import make_env
from simrl.learn.loop import LoopConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.runs.config import TrainConfig
from simrl.runs.controllers import entrants, make_member, split_controllers
from simrl.runs.training import start_run

TEXT = """
task: quadrotor-track
options: {seconds: 0.6}
judge: {worst: 0.5, limits: {tilt: 0.5}}
grids:
  nominal: {seeds: 5}
  push:
    options: {push_start: 0.1, push_interval: 100}
    axes: {push: [0.5], push_angle: [0.0, 3.142]}
    beyond: {push: [3.0]}
  payload: {axes: {payload: [0.1]}, beyond: {payload: [0.3]}, seeds: 2}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A user's own file of scenarios."""
    path = tmp_path_factory.mktemp("grids") / "mine.yaml"
    path.write_text(TEXT)
    return path


def command(file, out, controllers="lqr,weak=lqr:preview=1", *more):
    return (
        *("compare", "quadrotor-track", "--controllers", controllers, "--scenarios", file),
        *("--out", out, "--videos", "0", "--jobs", "1", *more),
    )


@pytest.fixture
def quadrotor_run(tmp_path):
    """A run that was hardly trained."""
    folder = tmp_path / "tiny"
    config = TrainConfig(
        env="quadrotor-track",
        num_envs=8,
        net=ActorCriticConfig(hidden=(8,)),
        loop=LoopConfig(unroll=8, steps=64),
    )
    run = start_run(config, folder)
    run.loop.run()
    run.loop.save()
    if run.loop.writer is not None:
        run.loop.writer.close()
    return folder


def assert_one_line(result, *parts):
    code, out, err = result
    assert code == 2, out + err
    assert len(err.strip().splitlines()) == 1, err
    for part in parts:
        assert part in err


def test_results_and_page(simrl, file, tmp_path):
    out = tmp_path / "c"
    code, text, err = simrl(*command(file, out))
    assert code == 0, err
    for part in ("nominal: 9 scenarios", "out of distribution: 4", "Pairs", "report: ", "weak"):
        assert part in text
    assert "26 of 26 episodes" in err
    found = json.loads((out / "summary.json").read_text())
    assert found["scenarios"] == {"nominal": 9, "out of distribution": 4}
    assert {"plan.json", "summary.json", "episodes.parquet", "report.html"} <= {
        path.name for path in out.iterdir()
    }
    page = (out / "report.html").read_text()
    for part in ("What it shows", "Best by scenario", "Heat maps", "Performance profiles"):
        assert part in page
    assert "simrl compare quadrotor-track" in page and "cannot say" in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page) and "http" not in page
    # The same command again plays nothing and gives the same figures.
    code, text, _ = simrl(*command(file, out, "lqr,weak=lqr:preview=1", "--json"))
    assert code == 0
    again = json.loads(text)
    assert again == found
    # So does another folder, but for the times.
    code, text, _ = simrl(*command(file, tmp_path / "d", "lqr,weak=lqr:preview=1", "--json"))
    fresh = json.loads(text)
    timed = {"timing", "limits"}
    assert {k: v for k, v in fresh.items() if k not in timed} == {
        k: v for k, v in found.items() if k not in timed
    }


def test_in_real_time(simrl, file, tmp_path):
    words = command(f"{file}:nominal", tmp_path / "c", "lqr", "--real-time", "--seeds", "2")
    code, text, err = simrl(*words, "--json")
    assert code == 0, err
    found = json.loads(text)
    assert found["real_time"] and found["scenarios"] == {"nominal": 2}
    times = found["timing"]["lqr"]
    assert times["decisions"] > 10 and times["deadline_ms"] == 20.0
    assert any("never the same twice" in text for text in found["limits"])


def test_a_learned_policy_with_two_training_seeds(simrl, file, quadrotor_run, tmp_path):
    other = shutil.copytree(quadrotor_run, tmp_path / "tiny2")
    names = f"ppo:{quadrotor_run}+{other},lqr"
    code, text, err = simrl(*command(f"{file}:nominal", tmp_path / "c", names, "--json"))
    assert code == 0, err
    found = json.loads(text)
    assert found["controllers"] == ["ppo:tiny +1", "lqr"]
    assert any("2 training seeds" in text for text in found["limits"])
    assert any("ppo:tiny +1 was trained for 64 agent-steps" in text for text in found["limits"])
    pattern = entrants([f"{tmp_path}/tiny*"], parse_grids(TEXT, "x"), {})[0]
    assert pattern.members == (str(quadrotor_run), str(other))
    assert pattern.learned and len(pattern.facts["weights"]) == 2


def test_a_controller_that_a_run_guides(simrl, file, quadrotor_run, tmp_path):
    names = f"cem:{quadrotor_run}:horizon=3:samples=4:iterations=1,lqr"
    words = command(f"{file}:nominal", tmp_path / "c", names, "--seeds", "2", "--json")
    code, text, err = simrl(*words)
    assert code == 0, err
    found = json.loads(text)
    assert found["controllers"] == ["cem:tiny:horizon=3:samples=4:iterations=1", "lqr"]
    assert any("iterations=1 has one training seed" in text for text in found["limits"])
    assert any("iterations=1 was trained for 64 agent-steps" in text for text in found["limits"])
    # The environment is that of the run.
    words = (f"cem:{quadrotor_run}:horizon=2:samples=4", "--games", "1", "--json")
    code, text, err = simrl("evaluate", *words, "--option", "seconds=0.2")
    assert code == 0, err
    assert json.loads(text)["env"] == "quadrotor-track"
    (tmp_path / "other.yaml").write_text("task: cartpole-swingup\ngrids: {nominal: {}}")
    result = simrl(
        *("compare", "cartpole-swingup", "--controllers", f"mppi:{quadrotor_run}"),
        *("--scenarios", tmp_path / "other.yaml", "--out", tmp_path / "d"),
    )
    assert_one_line(result, "was trained in quadrotor-track, it cannot act in cartpole-swingup")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (("--controllers", "mppi:none"), ("got 'none', and no run's folder is called so",)),
        (("--controllers", "lqrr"), ("unknown controller 'lqrr'", "lqr", "nmpc")),
        (("--controllers", "osc"), ("osc does not fit quadrotor-track",)),
        (("--controllers", "ppo:none"), ("none", "is not a run")),
        (("--controllers", "lqr,lqr"), ("two controllers are called 'lqr'",)),
        (("--controllers", "lqr:previw=1"), ("lqr has no option 'previw'", "preview")),
        (("--controllers", "sac:none.zip"), ("there is no file none.zip",)),
        (("--controllers", "json:missing"), ("module json has no function 'missing'",)),
        (("--controllers", ","), ("name at least one controller",)),
        (("--scenarios", "wind"), ("unknown scenarios 'wind'", "nominal, speed, push")),
        (("--scenarios", "none.yaml"), ("none.yaml cannot be read",)),
        (("--interface", "lqr:payload=1"), ("'payload' is the scenarios' to set",)),
        (("--interface", "osc:control=torque"), ("no controller is called so", "lqr")),
        (("--interface", "control=torque"), ("--interface is NAME:OPTION=VALUE",)),
        (("--seeds", "0"), ("seeds must be at least 1",)),
        (("--rows", "0"), ("rows must be at least 1",)),
    ],
)
def test_mistakes_are_said_before_anything_is_played(simrl, more, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"--controllers": "lqr", "--out": "c", "--scenarios": "nominal", more[0]: more[1]}
    flat = [word for pair in words.items() for word in pair]
    assert_one_line(simrl("compare", "quadrotor-track", *flat), *parts)
    assert not (tmp_path / "c").exists()


def test_controllers_that_do_not_fit_an_arm(simrl, tmp_path):
    for name in ("lqr", "nmpc", "driver"):
        result = simrl(
            *("compare", "arm-reach", "--controllers", name, "--scenarios", "nominal"),
            *("--out", tmp_path / "c"),
        )
        assert_one_line(result, name)
    assert not (tmp_path / "c").exists()


def test_a_run_on_another_layout_or_task(simrl, quadrotor_run, tmp_path):
    path = quadrotor_run / "config.yaml"
    result = simrl(
        *("compare", "quadrotor-hover", "--controllers", quadrotor_run, "--scenarios"),
        *(tmp_path / "hover.yaml", "--out", tmp_path / "c"),
    )
    assert_one_line(result, "cannot be read")
    (tmp_path / "hover.yaml").write_text("task: quadrotor-hover\ngrids: {nominal: {}}")
    result = simrl(
        *("compare", "quadrotor-hover", "--controllers", quadrotor_run, "--scenarios"),
        *(tmp_path / "hover.yaml", "--out", tmp_path / "c"),
    )
    assert_one_line(result, "was trained in quadrotor-track")
    # The hovering quadrotor sees another target: as if the track's observations had changed.
    path.write_text(path.read_text().replace("env: quadrotor-track", "env: quadrotor-hover"))
    with pytest.raises(ValueError, match=r"fit its config|another layout"):
        make_member(str(quadrotor_run), make_env("quadrotor-hover", 1).spec, {})


def test_another_layout_is_named(quadrotor_run):
    import dataclasses

    from simrl.core.spec import Layout

    spec = make_env("quadrotor-track", 1).spec
    layout = spec.observations["policy"]
    fewer = dataclasses.replace(
        spec, observations={**spec.observations, "policy": Layout(layout.blocks[:-1])}
    )
    said = r"another layout of the observations 'policy': 34 numbers, here there are 30 \(without"
    with pytest.raises(ValueError, match=said):
        make_member(str(quadrotor_run), fewer, {})


def test_a_function_of_python(simrl, file, tmp_path, monkeypatch):
    (tmp_path / "mymodule_for_compare.py").write_text(
        "from simrl.core.plugins import controller_plugin\n"
        "def make(spec):\n"
        "    plugin = controller_plugin('lqr')\n"
        "    return plugin.make(spec, plugin.config())\n"
        "def wrong(spec):\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = "mymodule_for_compare:make,lqr"
    code, text, err = simrl(*command(f"{file}:nominal", tmp_path / "c", names, "--json"))
    assert code == 0, err
    figures = json.loads(text)["figures"]["nominal"]
    assert figures["lqr"]["rmse"]["value"] == figures["mymodule_for_compare:make"]["rmse"]["value"]
    result = simrl(*command(file, tmp_path / "d", "mymodule_for_compare:wrong"))
    assert_one_line(result, "must return a Policy, got int")
    sys.modules.pop("mymodule_for_compare", None)


def test_names_are_split_outside_of_brackets():
    text = "lqr:state_weights={qpos: [1, 2], qvel: 1}, nmpc,a=pd"
    assert split_controllers(text) == [
        "lqr:state_weights={qpos: [1, 2], qvel: 1}",
        "nmpc",
        "a=pd",
    ]


def test_interfaces(tmp_path):
    grids = parse_grids("task: arm-reach\ninterface: [control]\ngrids: {a: {}}", "x.yaml")
    one, two = entrants(["osc", "slow=osc:frequency=2"], grids, {"osc": {"control": "torque"}})
    assert one.options == two.options == {"control": "torque"}
    one, two = entrants(["osc", "slow=osc"], grids, {"slow": {"control": "torque"}})
    assert (one.options, two.options) == ({}, {"control": "torque"})
    own = parse_grids(
        "task: arm-reach\ninterface: [control]\ninterfaces: {osc: {control: torque}}\n"
        "grids: {a: {}}",
        "x.yaml",
    )
    one, other, third = entrants(["osc", "pose", "b=osc"], own, {"b": {"control": "position"}})
    assert (one.options, other.options) == ({"control": "torque"}, {})
    assert third.options == {"control": "position"}
    assert (two.label, two.members, two.learned) == ("slow", ("osc",), False)


@pytest.mark.browser
def test_the_page_in_a_browser(simrl, file, tmp_path, page):
    assert simrl(*command(file, tmp_path / "c"))[0] == 0
    page.goto((tmp_path / "c" / "report.html").as_uri())
    assert page.locator("h1").inner_text() == "quadrotor-track: lqr, weak"
    headings = page.locator("h2").all_inner_texts()
    assert headings[:4] == ["What it shows", "Figures", "Best by scenario", "Pairs"]
    assert page.locator("table.heat").count() == 2
    assert page.locator("svg[role=img]").count() >= 6
    page.locator("summary").first.click()
    assert page.get_by_text("payload 0.3").first.is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.mujoco
def test_a_video_of_both_plays_in_the_page(simrl, file, tmp_path, page):
    words = command(f"{file}:nominal", tmp_path / "c", "lqr,weak=lqr:preview=1", "--seeds", "1")
    words = [
        ("1" if before == "--videos" else word)
        for before, word in zip(("", *words[:-1]), words, strict=True)
    ]
    code, out, err = simrl(*words)
    assert code == 0 and "no videos" not in out, out + err
    page.goto((tmp_path / "c" / "report.html").as_uri())
    video = page.locator("video")
    assert video.count() == 1
    size = video.evaluate(
        "v => new Promise((done, fail) => { v.onerror = () => fail(v.error.message);"
        "v.onplaying = () => done([v.videoWidth, v.videoHeight, v.duration]); v.play(); })"
    )
    # Two pictures side by side, 0.6 s of them at 15 a second.
    assert size[0] > size[1] and size[2] == pytest.approx(0.55, abs=0.15)
