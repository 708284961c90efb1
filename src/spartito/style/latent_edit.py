"""`edit`: a song with its sliders moved, or turned towards another genre; what is locked stays to the last bit.

    song -> states -> codes -> moved by the wish -> what the model expects now, less what it expected before
         -> states of the edited song -> notes of the source, those that changed, and new ones

The codes are moved so that what comes out meets the wish (`style/sliders.py`), and what then still lacks is brought by
scores that lean (`style/latent_lean.py`); cells change by differences (`style/latent_cells.py`), notes by what became
of them (`style/latent_notes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import numpy as np

from spartito.errors import NotesError, ParameterError
from spartito.notes.band_attributes import chroma_similarity
from spartito.notes.four_tracks import BAR, SILENT, expanded, held
from spartito.notes.notes import Notes
from spartito.style.latent_cells import WEIGHT, drawn, edited
from spartito.style.latent_lean import lean_of, leant
from spartito.style.latent_notes import locked_whole, rewritten
from spartito.style.latent_song import LatentSong, decode_logits, decode_song, encode_song, warn
from spartito.style.sliders import Wish, calibrated, moved

__all__ = ["EditSettings", "Edited", "bar_mask", "edit_song", "parse_bars", "parse_shares"]

ENOUGH = 0.5  # of a wish that may be missing before the source is held less tightly
TOO_LITTLE = 0.5  # of a slider's steps: what misses them by more is said
SLIGHT = 0.25  # steps that nobody need be told of
FEW_CELLS = 0.05  # share of cells that a whole genre should change
UNEVEN = (0.1, 1.9)  # times the weight, cell by cell: in a loop all bars are alike, and would change all or none
HANDS = {"right": "rh", "left": "lh"}  # what one may call the voices of a hand
WEAKEST, STRONGEST = 0.01, 4.0  # of `weight`, nats: below it nothing is certain to stay, beyond it nothing changes


@dataclass(frozen=True)
class EditSettings:
    """What shall change, and how.

    Attributes
    ----------
    attributes : slider -> steps; a step is a standard deviation of the attribute
    genre : tag -> share of the way there
    keep : tracks of the layout ("bass", "drums"; of a piano "right", "left") that stay to the last bit
    bars : first and last bar that may change, counted from 1; None: all
    calibrate : look at what comes out, and move codes until it meets the wish; False: move them as trained, once
    weight : nats by which the source is preferred in every cell; higher changes less
    temperature : noise on the scores, for variants; `seed` draws it
    reconstruct : the likeliest state of each cell instead of differences, for those who study the model
    """

    attributes: Mapping[str, float] = field(default_factory=dict)
    genre: Mapping[str, float] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    bars: tuple[int, int] | None = None
    calibrate: bool = True
    weight: float = WEIGHT
    temperature: float = 0.0
    seed: int = 0
    reconstruct: bool = False

    def wish(self) -> Wish:
        return Wish(dict(self.attributes), dict(self.genre))

    def __post_init__(self):
        self.wish()
        if not WEAKEST <= self.weight <= STRONGEST:
            raise ParameterError(
                f"the weight of the source lies between {WEAKEST:g} and {STRONGEST:g}, not at {self.weight}"
            )
        if not 0 <= self.temperature <= 5:
            raise ParameterError(f"a temperature lies between 0 and 5, not at {self.temperature}")


@dataclass(frozen=True, eq=False)
class Edited:
    """An edited song and how it came about."""

    notes: Notes
    song: LatentSong
    states: np.ndarray
    details: dict

    def report(self) -> dict:
        """What a line or a JSON document says of it."""
        return self.details


# -- what is asked for ----------------------------------------------------------------------------------------------


def parse_shares(text: str | Mapping[str, float]) -> dict[str, float]:
    """Tag -> share of `rock:0.6`, `jazz:0.5,pop:0.5` or `jazz` (all of it)."""
    if isinstance(text, Mapping):
        return {str(tag): float(share) for tag, share in text.items()}
    shares: dict[str, float] = {}
    for word in text.replace(",", " ").split():
        tag, colon, number = word.partition(":")
        try:
            shares[tag] = float(number) if colon else 1.0
        except ValueError:
            raise ParameterError(f"a genre and its share are written rock:0.6, not {word!r}") from None
        if not tag or not 0 < shares[tag] <= 1:
            raise ParameterError(f"the share of a genre lies between 0 and 1, not at {word!r}")
    return shares


def parse_bars(text: str) -> tuple[int, int] | None:
    """First and last bar of `9-16`, `9-` is to the end, `9` that bar alone; nothing for all."""
    if not text.strip():
        return None
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        low = int(first)
        high = (int(last) if last else 1 << 30) if dash else low
    except ValueError:
        raise ParameterError(f"bars are written 9-16, not {text!r}") from None
    if not 1 <= low <= high:
        raise ParameterError(f"bars are counted from 1, the first before the last, not {text!r}")
    return low, high


def kept_voices(song: LatentSong, keep: str | Sequence[str]) -> np.ndarray:
    """(V,) bool: the tracks of the layout that `keep` names."""
    words = keep.replace(",", " ").split() if isinstance(keep, str) else [str(word) for word in keep]
    names = song.layout.tracks
    chosen = np.zeros(len(names), dtype=bool)
    for word in words:
        found = [name == word or (word in HANDS and name.startswith(HANDS[word])) for name in names]
        if not any(found):
            known = [*names] if not song.layout.together else [*HANDS, *names]
            raise ParameterError(f"what can be kept is {', '.join(known)}, not {word!r}")
        chosen |= np.array(found)
    return chosen


def bar_mask(song: LatentSong, bars: tuple[int, int] | None) -> np.ndarray:
    """(T,) bool: cells of the bars from first to last, counted from 1; a pick-up comes before bar 1."""
    inside = np.ones(song.steps, dtype=bool)
    if bars is None:
        return inside
    pickup = song.lead > 0  # the first bar of cells is the pick-up's
    number = np.arange(song.steps) // BAR + (0 if pickup else 1)
    last = int(number[-1])
    if bars[0] > last:
        raise ParameterError(f"the piece has {last} bars; bar {bars[0]} lies beyond")
    return (number >= bars[0]) & (number <= bars[1])


# -- the edit -------------------------------------------------------------------------------------------------------


def edit_song(model, song: LatentSong, settings: EditSettings, *, progress=None) -> Edited:
    """A song as the settings have it; `model` as `open_latent` gives it."""
    wish = settings.wish().checked(model)
    locked = np.broadcast_to(kept_voices(song, settings.keep), song.states.shape).copy()
    inside = bar_mask(song, settings.bars)
    locked |= ~inside[:, None] | song.absent
    locked = locked_whole(song, locked)
    _say(song)
    details: dict = {"layout": song.layout.name, "bars": song.bars, "beats_by": song.beats_by}
    if song.passing:
        details["untouched"] = [_track_name(song.notes, i) for i in song.passing]
    if wish.empty and not settings.reconstruct:
        return Edited(song.notes, song, song.states, details | {"notes_of_source": {"stay": len(song.band.notes)}})
    if locked.all():
        raise ParameterError("all is kept: nothing is left that could change")
    codes = encode_song(model, song)
    if settings.reconstruct:
        states, told = _reconstructed(model, song, codes, wish, locked, settings)
    else:
        states, told = _differences(model, song, codes, wish, locked, settings, progress)
    notes, counts = rewritten(song, states, locked=locked, usual=model.velocity.get(""))
    if len(notes) == 0:
        raise NotesError("nothing is left of the piece: ask for less")
    changed = (states != song.states).any(axis=1).reshape(-1, BAR).any(axis=1)
    details |= told | {"notes_of_source": counts, "bars_changed": int(changed.sum())}
    return Edited(notes, song, states, details)


def _differences(model, song, codes, wish, locked, settings, progress) -> tuple[np.ndarray, dict]:
    """States, and what was reached: by codes that move, by less weight on the source, by scores that lean."""
    before = decode_song(model, codes.z, codes, song.steps)
    strength = _window_share(song, codes, ~locked)
    part = _part_that_changes(locked)
    uneven = np.random.default_rng(settings.seed).uniform(*UNEVEN, size=song.states.shape)
    rendered = 0

    def one(after, weight, lean=None) -> np.ndarray:
        nonlocal rendered
        rendered += 1
        if progress is not None:
            progress(1 - 0.5 ** (rendered / 20))  # nobody knows how many there will be
        return edited(
            song.states,
            before,
            after,
            layout=song.layout,
            free=~locked,
            harmony=song.harmony,
            weight=weight,
            lean=lean,
            temperature=settings.temperature,
            seed=settings.seed,
        )

    expected = partial(decode_song, model, codes=codes, length=song.steps)
    if not settings.calibrate or model.scale is None:
        return one(expected(moved(model, codes.z, wish, strength=strength)), settings.weight), {}
    source = SimpleNamespace(states=song.states[part])  # what is measured is what may change
    tries = []
    for weight in (settings.weight, np.maximum(settings.weight * uneven, WEAKEST), WEAKEST * (0.5 + uneven)):

        def render(zs: np.ndarray, weight=weight) -> np.ndarray:
            return np.stack([one(expected(z), weight)[part] for z in zs])

        z, report = calibrated(model, source, codes, wish, render, strength=strength)
        states = one(expected(z), weight)
        lack = _lack(wish, report, states, song, locked)
        tries.append((lack, len(tries), states, report, z, weight))
        if lack < ENOUGH:
            break
    _, _, states, report, z, weight = min(tries, key=lambda one: one[:2])
    if wish.attributes:
        states, report = _leaning(model, song, wish, expected(z), weight, one, states, report, part)
    for name, steps in wish.attributes.items():
        if abs(steps - report["reached"][name]) > max(TOO_LITTLE * abs(steps), SLIGHT):
            warn(f"{name}: {steps:+g} steps were asked for, {report['reached'][name]:+.2f} could be reached here")
    return states, {"sliders": report}


def _leaning(model, song, wish, after, weight, one, states, report, part) -> tuple[np.ndarray, dict]:
    """The edit brought nearer to the wish by scores that lean; `by_codes` of its report is what codes alone reached."""
    table = song.band.notes[np.isin(song.band.notes[:, 4], song.layout.upper)]
    middle = float(table[:, 2].mean()) if len(table) else 60.0
    make = partial(lean_of, layout=song.layout, steps=song.steps, middle=middle)
    best = {(): states}

    def render(amounts: Mapping[str, float]) -> np.ndarray:
        key = tuple(sorted(amounts.items()))
        best[key] = one(after, weight, make(amounts))
        return best[key][part]

    _, amounts, change = leant(model, song.states[part], states[part], wish.attributes, render)
    if not amounts:
        return states, report
    states = best[tuple(sorted(amounts.items()))]
    before, now = song.states[part], states[part]
    like = chroma_similarity(before[None], now[None], layout=song.layout)[0]
    report = report | {
        "by_codes": report["reached"],
        "reached": {name: round(value, 3) for name, value in change.items() if name in wish.attributes},
        "others": {name: round(value, 3) for name, value in change.items() if name not in wish.attributes},
        "lean": {name: round(value, 3) for name, value in amounts.items()},
        "chroma": round(float(np.nan_to_num(like, nan=1.0)), 3),
        "cells": round(float((before != now).mean()), 4),
    }
    return states, report


def _part_that_changes(locked: np.ndarray) -> slice:
    """The bars from the first to the last that may change."""
    free = np.flatnonzero((~locked).any(axis=1)) // BAR
    return slice(int(free[0]) * BAR, (int(free[-1]) + 1) * BAR)


def _lack(wish: Wish, report: dict, states: np.ndarray, song: LatentSong, locked: np.ndarray) -> float:
    """How much of a wish is missing, 0 to 1: of its worst slider; of a genre alone, whether all stayed."""
    missing = [
        abs(steps - report["reached"].get(name, 0.0)) / abs(steps) for name, steps in wish.attributes.items() if steps
    ]
    if not missing:
        share = sum(wish.genre.values())
        changed = float((states != song.states)[~locked].mean())
        missing = [max(0.0, 1 - changed / (FEW_CELLS * share))] if share else [0.0]
    return max(missing)


def _reconstructed(model, song, codes, wish, locked, settings) -> tuple[np.ndarray, dict]:
    z = codes.z if wish.empty else moved(model, codes.z, wish)
    logits = decode_logits(model, z, codes.starts, song.steps)
    states = drawn(logits, temperature=settings.temperature, seed=settings.seed)
    sounding = np.where(locked, expanded(song.states), expanded(states))
    begins = np.where(locked, song.states < SILENT, states < SILENT)
    merged = held(sounding.astype(np.uint8), attack=begins)
    same = float((merged == song.states)[~locked].mean())
    return merged, {"reconstructed": {"cells_equal": round(same, 4)}}


def _window_share(song: LatentSong, codes, free: np.ndarray) -> np.ndarray:
    """(w,) 1 where a window holds cells that may change, else 0."""
    any_free = np.concatenate([[0], np.cumsum(free.any(axis=1))])
    stop = np.minimum(codes.starts + codes.steps, song.steps)
    return (any_free[stop] > any_free[codes.starts]).astype(np.float64)


def _say(song: LatentSong) -> None:
    if song.passing:
        names = ", ".join(_track_name(song.notes, i) for i in song.passing)
        warn(f"the model has one track each of {', '.join(song.layout.tracks)}; left as they are: {names}")


def _track_name(notes: Notes, track: int) -> str:
    given = notes.tracks[track]
    return given.name.strip() or ("drums" if given.is_drum else f"track {track + 1} (program {given.program})")
