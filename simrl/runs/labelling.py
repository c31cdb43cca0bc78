"""Where labels are kept, and what people are asked about the clips of a library."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import numpy_generator, torch_generator
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.selection import Candidates, SelectionKind, segment_features, select
from simrl.preferences.store import NewQuestion, clip_provenance
from simrl.runs.people import LABELS_FILE

if TYPE_CHECKING:
    from simrl.preferences.store import LabelStore

QuestionKind = Literal["compare", "rate", "thumbs", "moment", "text", "live", "correct"]
URL_START: Final = "postgresql://"
OFFERED: Final = 8
"""Random pairs that a rule other than uniform chooses one from."""
MAX_OFFERED: Final = 20_000
Meta = Mapping[str, Any]
Pair = tuple[str, str]


@dataclass(frozen=True)
class QuestionConfig:
    """Say what people are asked about the clips."""

    kind: QuestionKind = "compare"
    """compare two clips; rate one; thumbs up or down; the moment where it went wrong; free text;
    live feedback while the clip's policies play; correct by taking over from a step."""
    count: int = 100
    """Questions that there are to be of this kind, those of earlier calls included."""
    select: SelectionKind = "uniform"
    """Which pairs are compared; all but uniform and k-centre need a reward model."""
    reward_model: Path | None = None
    """Folder of a reward model that tells which pairs would teach most."""
    overlap: int = 1
    """People who are asked each question."""
    prompt: str = ""
    """What the page says above the clips; empty: its own words."""
    low: int = 1
    """Lowest rating."""
    high: int = 5
    """Highest rating."""
    learner: Literal["none", "tamer", "coach"] = "none"
    """What learns from live feedback while the person gives it."""
    gold: float = 0.0
    """Share of comparisons whose answer is taken as known, since the task's own returns differ
    most; they measure people, and are left out of training."""
    repeat: float = 0.05
    """Share of questions that the same person is asked again later."""
    attention: float = 0.02
    """Share of comparisons of a clip with itself, which are ties."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.count < 1 or self.overlap < 1:
            raise ValueError(
                f"count and overlap must be at least 1, got {self.count} and {self.overlap}"
            )
        if self.low >= self.high:
            raise ValueError(f"the lowest rating must be below the highest, got {self.low}")
        if self.kind != "compare" and (self.select != "uniform" or self.gold):
            raise ValueError(f"questions of kind {self.kind} compare nothing: no select, no gold")


def store_place(where: Path | str, db: str = "") -> str:
    """Return what `LabelStore.open` takes: `db` if given, else the file in the folder `where`.

    A folder stands for its `labels.db`.
    """
    place = db or str(where)
    if place.startswith(URL_START):
        return place
    path = Path(place)
    return str(path / LABELS_FILE if path.is_dir() or not path.suffix else path)


def make_questions(
    store: LabelStore, library: ClipLibrary, config: QuestionConfig, *, seed: int = 0
) -> int:
    """Add questions until there are `config.count` of the kind, and return how many were added.

    Questions about the same clip or pair are never asked twice, but for repeats.  Fewer are added
    where the clips give no more.

    Raises:
        ValueError: There are no clips for this kind, or the rule needs a reward model.
    """
    from simrl.preferences.store.planning import CheckRates, add_with_checks

    asked = [q for q in store.questions(config.kind) if not q.for_quality]
    missing = config.count - len(asked)
    if missing <= 0:
        return 0
    metas = {clip: library.meta(clip) for clip in library.ids()}
    known = {frozenset(question.clips) for question in asked}
    chosen: Sequence[tuple[str, ...]]
    gold: list[NewQuestion] = []
    if config.kind == "compare":
        chosen = choose_pairs(library, metas, known, missing, config, seed)
        gold = _gold(metas, known | set(map(frozenset, chosen)), missing, config, seed)
    else:
        chosen = _choose_single(metas, known, missing, config, seed)
    rates = CheckRates(
        gold=config.gold,
        repeat=config.repeat,
        attention=config.attention,
        people=config.overlap,
    )
    new = [_question(clips, metas, config) for clips in chosen]
    return len(add_with_checks(store, new, rates, gold=gold, seed=seed + len(asked)))


def choose_pairs(
    library: ClipLibrary,
    metas: Mapping[str, Meta],
    known: set[frozenset[str]],
    count: int,
    config: QuestionConfig,
    seed: int = 0,
) -> list[Pair]:
    """Choose up to `count` pairs of clips of one environment that are not `known` yet.

    Clips take part equally often, as far as that goes.  ValueError if there is no pair at all, or
    the rule needs a reward model and there is none.
    """
    rng = numpy_generator(seed, f"labels/pairs/{len(known)}")
    groups: dict[tuple[str, str], list[str]] = {}
    for clip, meta in metas.items():
        groups.setdefault((meta["env"], meta["config_hash"]), []).append(clip)
    groups = {key: clips for key, clips in groups.items() if len(clips) > 1}
    if not groups:
        raise ValueError(f"{library.folder} holds no two clips of one environment to compare")
    if config.select == "uniform":
        return _mixed([_random_pairs(c, known, count, rng) for c in groups.values()], count)
    share = math.ceil(count / len(groups))
    chosen = []
    for clips in groups.values():
        offered = _random_pairs(clips, known, min(OFFERED * share, MAX_OFFERED), rng)
        if offered:
            chosen.append(_select(library, metas, offered, share, config, seed))
    return _mixed(chosen, count)


def _random_pairs(
    clips: list[str], known: set[frozenset[str]], count: int, rng: np.random.Generator
) -> list[Pair]:
    """Draw different new pairs; rounds of random matchings let every clip take part equally."""
    taken, pairs = set(known), []
    possible = len(clips) * (len(clips) - 1) // 2
    for _ in range(4 * math.ceil(2 * count / len(clips)) + 4):
        order = rng.permutation(len(clips))
        for first, second in zip(order[::2], order[1::2], strict=False):
            pair = (clips[int(first)], clips[int(second)])
            if frozenset(pair) not in taken:
                taken.add(frozenset(pair))
                pairs.append(pair)
        if len(pairs) >= count:
            return pairs[:count]
    if possible > MAX_OFFERED:
        return pairs
    # Matchings find the last pairs slowly: the rest is listed.
    rest = [p for p in itertools.combinations(clips, 2) if frozenset(p) not in taken]
    order = rng.permutation(len(rest))[: count - len(pairs)]
    turned = rng.random(len(order)) < 0.5
    for k, turn in zip(order, turned, strict=True):
        first, second = rest[int(k)]
        pairs.append((second, first) if turn else (first, second))
    return pairs


def _mixed(lists: Sequence[Sequence[Pair]], count: int) -> list[Pair]:
    """Take from each list in turn."""
    turns = itertools.zip_longest(*lists)
    return [pair for turn in turns for pair in turn if pair is not None][:count]


def _select(
    library: ClipLibrary,
    metas: Mapping[str, Meta],
    offered: list[Pair],
    count: int,
    config: QuestionConfig,
    seed: int,
) -> list[Pair]:
    """Let a rule choose among pairs of one environment."""
    length = max(int(metas[clip]["steps"]) for pair in offered for clip in pair)
    one, two = (library.segments([pair[side] for pair in offered], length) for side in (0, 1))
    features = torch.cat((segment_features(one), segment_features(two)), dim=1)
    features = features / features.std(0, correction=0).clamp_min(1e-6)
    if config.reward_model is not None:
        from simrl.preferences.reward_files import load_reward_model

        meta = metas[offered[0][0]]
        spec = make_env(meta["env"], 1, **library.get(offered[0][0]).env_options).spec
        ensemble = load_reward_model(config.reward_model, spec)
        with torch.no_grad():
            returns = ensemble.segment_returns(one), ensemble.segment_returns(two)
    elif config.select == "k-centre":
        returns = features.new_zeros(1, len(offered)), features.new_zeros(1, len(offered))
    else:
        raise ValueError(f"the rule {config.select} needs a reward model: give --reward-model")
    nothing = features.new_zeros(0, features.shape[1])
    candidates = Candidates(*returns, returns[0] - returns[1], features, nothing)
    index = select(config.select, candidates, count, torch_generator(seed, "labels/select"))
    return [offered[int(k)] for k in index]


def _gold(
    metas: Mapping[str, Meta],
    taken: set[frozenset[str]],
    missing: int,
    config: QuestionConfig,
    seed: int,
) -> list[NewQuestion]:
    """Make comparisons whose answer the task's own returns leave no doubt about."""
    if not config.gold:
        return []
    rng = numpy_generator(seed, "labels/gold")
    groups: dict[tuple[str, str], list[str]] = {}
    for clip, meta in metas.items():
        if "return" in meta["metrics"]:
            groups.setdefault((meta["env"], meta["config_hash"]), []).append(clip)
    found = []
    for clips in groups.values():
        ranked = sorted(clips, key=lambda clip: metas[clip]["metrics"]["return"])
        tenth = max(1, len(ranked) // 10)
        worst, best = ranked[:tenth], ranked[-tenth:]
        found += [(low, high) for low in worst for high in best if _differ(metas, low, high)]
    found = [pair for pair in found if frozenset(pair) not in taken]
    if not found:
        raise ValueError("no two clips differ in return: there are no gold questions, see --gold")
    questions = []
    for k in rng.permutation(len(found))[: math.ceil(2 * config.gold * missing)]:
        worse, better = found[int(k)]
        pair, choice = ((worse, better), "second")
        if rng.random() < 0.5:
            pair, choice = ((better, worse), "first")
        questions.append(_question(pair, metas, config, gold={"choice": choice}))
    return questions


def _differ(metas: Mapping[str, Meta], low: str, high: str) -> bool:
    return bool(metas[low]["metrics"]["return"] < metas[high]["metrics"]["return"])


def _choose_single(
    metas: Mapping[str, Meta],
    known: set[frozenset[str]],
    count: int,
    config: QuestionConfig,
    seed: int,
) -> list[tuple[str, ...]]:
    """Choose clips that this kind has not asked about yet, in random order."""
    clips = [clip for clip in metas if frozenset((clip,)) not in known]
    if config.kind == "correct":
        clips = [clip for clip in clips if env_plugin(metas[clip]["env"]).controls is not None]
    if not clips and not known:
        raise ValueError(f"there are no clips that questions of kind {config.kind} can be about")
    order = numpy_generator(seed, f"labels/{config.kind}/{len(known)}").permutation(len(clips))
    return [(clips[int(k)],) for k in order[:count]]


def _question(
    clips: tuple[str, ...],
    metas: Mapping[str, Meta],
    config: QuestionConfig,
    gold: Mapping[str, Any] | None = None,
) -> NewQuestion:
    settings: dict[str, Any] = {}
    if config.kind == "rate":
        settings = {"low": config.low, "high": config.high}
    if config.kind == "live" and config.learner != "none":
        settings = {"learner": config.learner}
    return NewQuestion(
        kind=config.kind,
        clips=clips,
        prompt=config.prompt,
        settings=settings,
        overlap=config.overlap,
        batch="clips",
        gold=gold,
        provenance=clip_provenance([metas[clip] for clip in clips]),
    )
