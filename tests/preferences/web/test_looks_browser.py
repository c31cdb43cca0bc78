"""How the page looks with real clips: it fits desk and phone, and can be read in light and dark.

With SIMRL_SCREENSHOTS naming a folder, such as docs/images, `PICTURES` are saved there.
"""

import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from simrl.core.plugins import env_plugin, make_scripted
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.clips.record import record_clips
from simrl.preferences.clips.render import render_clip
from simrl.preferences.store import NewQuestion
from simrl.preferences.web import WebConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
LARGEST = 150_000
PICTURES = {
    "compare-desk-light": "label-compare.png",
    "compare-phone-dark": "label-phone.png",
    "player-desk-dark": "label-player.png",
    "moment-desk-light": "label-moment.png",
    "live-desk-dark": "label-live.png",
    "correct-desk-light": "label-correct.png",
    "admin-desk-light": "label-admin.png",
}
"""Which pictures the guides show, and their names there."""

FAINT = """() => {
    const parse = (text) => {
        const parts = text.match(/[\\d.]+/g).map(Number);
        return [parts[0], parts[1], parts[2], parts[3] ?? 1];
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
    const light = (color) => {
        const [r, g, b] = color.map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, two) => {
        const [high, low] = [light(one), light(two)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    };
    const grounds = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            layers.push(color);
            if (color[3] === 1) break;
            // Over a picture anything may be: black and white are the worst of it.
            if (at.classList.contains("screen")) return [[0, 0, 0], [255, 255, 255]].map(
                (base) => layers.reduceRight((below, top) => over(top, below), base));
        }
        return [layers.reduceRight((below, top) => over(top, below), [255, 255, 255])];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const box = node.getBoundingClientRect();
        const unseen = "[hidden], .said, .hide, template, :disabled, option, .next";
        const hidden = !box.width || node.closest(unseen);
        if (!walker.currentNode.textContent.trim() || hidden || !node.checkVisibility()) continue;
        const ink = parse(getComputedStyle(node).color);
        const all = grounds(node).map((ground) => contrast(over(ink, ground), ground));
        const worst = Math.min(...all);
        if (worst < 4.5) found.push(`${node.textContent.trim().slice(0, 40)}: ${worst.toFixed(2)}`);
    }
    return found;
}"""
"""Texts whose contrast is below 4.5, the bar of WCAG 2.1 AA."""

NAMELESS = """() => [...document.querySelectorAll("button, select, input, textarea, a, video")]
    .filter((one) => one.checkVisibility() && one.type !== "hidden" && !one.closest(".next"))
    .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.title))
    .map((one) => one.outerHTML.slice(0, 80))"""
"""Controls that a screen reader would have no name for."""

SMALL = """() => [...document.querySelectorAll("button, select, summary, input:not([type=hidden])")]
    .filter((one) => one.checkVisibility() && !one.closest("td"))
    .map((one) => [one.getBoundingClientRect(), one])
    .filter(([box]) => box.height < 38 || box.width < 38)
    .map(([box, one]) => `${one.outerHTML.slice(0, 60)} ${box.width}x${box.height}`)"""
"""Targets that a finger would miss."""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A library with drawn clips of the duel of heroes and of the car, by environment."""
    torch.set_num_threads(1)
    library, clips = ClipLibrary(tmp_path_factory.mktemp("real")), {}
    for env, count in (("moba-1v1", 6), ("car-lane", 2)):
        names = list(env_plugin(env).policies)[-2:]
        policies = {name: make_scripted(env, name) for name in names}
        clips[env] = record_clips(library, env, {}, policies, count=count, seed=5, seconds=6.0)
        for clip in clips[env]:
            render_clip(library, clip)
    return library, clips


def make_policy(name, spec, options):
    return make_scripted("car-lane", "driver")


def ask(store, kind, clips, **options):
    """Ask nothing but this."""
    store.close_questions([question.id for question in store.questions(state="open")])
    store.add_questions([NewQuestion(kind=kind, clips=tuple(shown), **options) for shown in clips])


def check(page, name):
    """Check what is on the screen, and keep a picture of it where that is wanted."""
    assert page.evaluate(FAINT) == [], name
    assert page.evaluate(NAMELESS) == [], name
    assert page.evaluate(SMALL) == [], name
    width, height = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert width <= page.viewport_size["width"], name
    if page.locator(".work").count():
        assert height <= page.viewport_size["height"], name
    save(page, name)


def save(page, name):
    """Save a picture with a palette, which is small."""
    folder = os.environ.get("SIMRL_SCREENSHOTS")
    if not folder or name not in PICTURES:
        return
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = Path(folder) / PICTURES[name]
    most = Image.Quantize.MAXCOVERAGE
    few = image.quantize(256, method=most, kmeans=3, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    assert path.stat().st_size < LARGEST, f"{path} has {path.stat().st_size} bytes"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_kind_of_question(kit, store, real, page, size, scheme):
    library, clips = real
    heroes, cars = clips["moba-1v1"], clips["car-lane"]
    store.add_user("anna", kit.PASSWORD)
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    page.emulate_media(color_scheme=scheme)
    tag = f"{size}-{scheme}"
    config = WebConfig(title="Duel of heroes", min_seconds=0.0)
    with kit.serving(store, library, config, make_policy=make_policy) as site:
        page.goto(f"{site.url}/login")
        check(page, f"login-{tag}")
        ask(store, "compare", [heroes[:2], heroes[2:4], heroes[4:6]])
        kit.enter(page, site, "anna")
        kit.settle(page)
        kit.press_and_wait(page, "ArrowLeft")
        page.wait_for_timeout(1200)
        check(page, f"compare-{tag}")
        page.keyboard.press("m")
        check(page, f"figures-{tag}")
        page.keyboard.press("?")
        check(page, f"help-{tag}")
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.frame_locator(".layer:not(.next) iframe").first.locator("#field").wait_for()
        kit.until(page, "!document.getElementById('when').textContent.endsWith('/ 0.0 s')")
        page.wait_for_timeout(1500)
        check(page, f"player-{tag}")
        page.keyboard.press("g")
        page.keyboard.press("m")
        for kind in ("rate", "thumbs", "moment", "text", "correct"):
            ask(store, kind, [cars[:1] if kind == "correct" else heroes[:1]])
            page.goto(site.url)
            page.wait_for_function(kit.READY)
            page.wait_for_timeout(800)
            if kind == "moment":
                page.keyboard.press("k")
            if kind == "correct":
                check(page, f"correct-watch-{tag}")
                page.keyboard.press("t")
                page.wait_for_selector("[data-pads] button")
                page.keyboard.down("ArrowUp")
                page.wait_for_timeout(900)
            check(page, f"{kind}-{tag}")
        page.keyboard.up("ArrowUp")
        ask(store, "live", [()], settings={"env": "car-lane", "policies": "driver"})
        page.goto(site.url)
        kit.until(page, "document.querySelector('[data-done]')?.textContent === 'Start'")
        check(page, f"live-start-{tag}")
        page.keyboard.press("Enter")
        kit.until(page, "document.querySelector('.badge').textContent > '1.0 s'")
        page.keyboard.press("+")
        page.wait_for_selector(".flash")
        check(page, f"live-{tag}")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=All done for now")
        check(page, f"rest-{tag}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_dashboard(kit, store, real, page, size, scheme):
    library, clips = real
    heroes = clips["moba-1v1"]
    pairs = [(a, b) for i, a in enumerate(heroes) for b in heroes[i + 1 :]]
    truth = ["first" if number % 3 else "second" for number in range(len(pairs))]
    store.add_questions(
        [
            NewQuestion(
                kind="compare",
                clips=pair,
                overlap=3,
                gold={"choice": right} if number < 6 else None,
            )
            for number, (pair, right) in enumerate(zip(pairs, truth, strict=True))
        ]
    )
    for name, wrong in (("anna", 99), ("bert", 7), ("carl", 2)):
        user = store.add_user(name, kit.PASSWORD)
        for number, right in enumerate(truth):
            lease = store.lease(user.id)
            says = "tie" if number % wrong == wrong - 1 else right
            seconds = 2.0 + len(name) * (number % 3)
            store.answer(user.id, lease, f"{name}-{number}", {"choice": says}, seconds=seconds)
    store.add_user("root", kit.PASSWORD, "admin")
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    page.emulate_media(color_scheme=scheme)
    with kit.serving(store, library, WebConfig(title="Duel of heroes")) as site:
        kit.log_in(page, site, "root")
        page.goto(f"{site.url}/admin")
        marked = [page.locator("tr", has_text=n).first.locator("td.low") for n in ("anna", "carl")]
        assert [cells.count() for cells in marked] == [0, 2]
        check(page, f"admin-{size}-{scheme}")
