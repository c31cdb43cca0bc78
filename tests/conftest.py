"""What every test shares: one torch thread, and skips that say what this machine lacks."""

import shutil
from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items):
    """Skip browser, GPU, drawing and PostgreSQL tests where there is none of it, and say so."""
    lacking = {}
    if find_chromium() is None:
        lacking["browser"] = "no chromium here: apt-get install chromium"
    if find_postgres() is None:
        lacking["postgres"] = "no PostgreSQL here: apt-get install postgresql"
    if not torch.cuda.is_available():
        lacking["gpu"] = "torch sees no CUDA device"
    if any(item.get_closest_marker("mujoco") for item in items) and (trouble := no_opengl()):
        lacking["mujoco"] = trouble
    for item in items:
        for mark, reason in lacking.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _one_torch_thread():
    # Small nets on two threads collapse when the cores are shared; and a test that sets the
    # number of threads must not change how the next one rounds.
    torch.set_num_threads(1)


@pytest.fixture
def page():
    """A page of Debian's chromium, driven by Playwright; fails the test on a page error."""
    from playwright.sync_api import sync_playwright

    errors = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        browser.close()
    assert errors == [], f"the page raised {errors}"


def no_opengl():
    """Return why MuJoCo cannot draw here, or None if it can."""
    try:
        import mujoco

        from simrl_envs.robot.render import draw

        model = mujoco.MjModel.from_xml_string("<mujoco/>")
        draw(model, mujoco.MjData(model), size=(32, 32))
    except (ImportError, ValueError) as error:
        return str(error)
    return None


def find_chromium():
    """Return the path of an installed chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def find_postgres():
    """Return the newest folder of PostgreSQL's programs (postgres, initdb), or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found and shutil.which("initdb") else None
