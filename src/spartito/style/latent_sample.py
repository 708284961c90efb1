"""`sample`: new music from the petal of a genre.

Job
    Draw codes from the prior of a latent model, decode them, and play the states on a band of that genre or a piano.

Method
    Pieces as long as a window are one code. Longer ones are windows side by side whose codes lie on a smooth way: a
    code for every phrase, each 60 degrees from the one before in the noise they are drawn from, and back to the first
    at the end; great circles between them, so that every code on the way is as probable as any draw. Windows that come
    out in another key than the first are transposed into it. Two genres: the same noise in both petals, and the place
    between the two by their shares. A piece that is nearly silent is drawn again, a few times.

Source
    The prior of A. Valenti, A. Carta, D. Bacciu (ECAI 2020); great circles of noise after T. White, 'Sampling
    generative networks' (2016). The way and the keys are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spartito.errors import NotesError, ParameterError
from spartito.models.musae_paths import path
from spartito.models.musae_prior import Flower
from spartito.notes.four_tracks import BAR, HOLD, SILENT, expanded, held, transposed
from spartito.notes.notes import Notes
from spartito.style.latent_cells import drawn
from spartito.style.latent_key import in_key
from spartito.style.latent_play import played

__all__ = ["SampleSettings", "Sampled", "drawn_codes", "known_shares", "model_for", "sample_pieces", "with_sliders"]

LONG = 8  # bars from which the model of sixteen bars is taken for bands
MOST_BARS = 256
MOST_PIECES = 1000
PHRASES = {2: 4, 16: 32}  # bars of a window -> bars of a phrase
ANGLE = np.pi / 3  # between the noise of one phrase and of the next
TRIES = 8  # draws before a piece is given up as empty
LEAST = 2.0  # notes a bar; what has fewer is drawn again
TEMPO = 110.0  # quarter notes per minute where the model tells none
SLOWEST, FASTEST = 30.0, 300.0
KEY_COST = 0.02  # by semitone, of the likeness of two windows' pitch classes


@dataclass(frozen=True)
class SampleSettings:
    """What shall be drawn.

    Attributes
    ----------
    genre : tag -> share; empty: music without genre
    bars : length
    count : pieces
    seed : of the first piece; the next has the next
    piano : for one piano instead of a band
    temperature : 0 the likeliest state of each cell, 1 as probable as the model says
    hold_bias : nats added to 'as before'; below 0 more happens
    tempo : quarter notes per minute; default: what is usual in the genre
    model : name or folder; default: by length and instruments
    """

    genre: Mapping[str, float] = field(default_factory=dict)
    bars: int = 16
    count: int = 1
    seed: int = 0
    piano: bool = False
    temperature: float = 0.0
    hold_bias: float = 0.0
    tempo: float | None = None
    model: str | None = None

    def __post_init__(self):
        if not 1 <= self.bars <= MOST_BARS:
            raise ParameterError(f"between 1 and {MOST_BARS} bars can be drawn, not {self.bars}")
        if not 1 <= self.count <= MOST_PIECES:
            raise ParameterError(f"between 1 and {MOST_PIECES} pieces can be drawn, not {self.count}")
        if not 0 <= self.temperature <= 5:
            raise ParameterError(f"a temperature lies between 0 and 5, not at {self.temperature}")
        if not -10 <= self.hold_bias <= 10:
            raise ParameterError(f"a bias of hold lies between -10 and 10, not at {self.hold_bias}")
        if self.tempo is not None and not SLOWEST <= self.tempo <= FASTEST:
            raise ParameterError(f"a tempo lies between {SLOWEST:g} and {FASTEST:g}, not at {self.tempo:g}")
        if self.seed < 0:
            raise ParameterError(f"a seed is 0 or more, not {self.seed}")


@dataclass(frozen=True, eq=False)
class Sampled:
    """A piece that was drawn."""

    notes: Notes
    states: np.ndarray
    seed: int
    tries: int
    details: dict

    def report(self) -> dict:
        return self.details | {"seed": self.seed, "tries": self.tries}


def model_for(settings: SampleSettings) -> str:
    """The name of the model that suits."""
    if settings.model is not None:
        return settings.model
    if settings.piano:
        return "latent-piano"
    return "latent-16" if settings.bars >= LONG else "latent"


def sample_pieces(model, settings: SampleSettings, *, progress: Callable[[float], None] | None = None) -> list[Sampled]:
    """Pieces as the settings have them; `model` as `open_latent` gives it.

    Raises ParameterError for a genre that the model does not know, NotesError when all draws of a piece are empty.
    """
    shares = known_shares(model, settings.genre)
    pieces = []
    for number in range(settings.count):
        pieces.append(_one(model, settings, shares, settings.seed + number))
        if progress is not None:
            progress((number + 1) / settings.count)
    return pieces


def known_shares(model, genre: Mapping[str, float]) -> dict[str, float]:
    """Shares of tags, together 1."""
    if not genre:
        return {}
    if not isinstance(model.prior, Flower) or not model.tags:
        raise ParameterError(f"model {model.name} has no genres: its prior is one Gaussian")
    unknown = [tag for tag in genre if tag not in model.tags]
    if unknown:
        raise ParameterError(f"model {model.name} knows no genre {unknown[0]!r}, but {', '.join(model.tags)}")
    total = sum(genre.values())
    return {tag: share / total for tag, share in genre.items()}


def _one(model, settings: SampleSettings, shares: dict[str, float], seed: int) -> Sampled:
    length = BAR * settings.bars
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, attempt])
        z = drawn_codes(model, shares, -(-settings.bars // model.bars), rng=rng)
        logits = np.concatenate(list(in_key(model.decode(z), layout=model.layout)))[:length]
        states = drawn(
            logits,
            temperature=settings.temperature,
            hold_bias=settings.hold_bias,
            seed=int(rng.integers(1 << 31)),
        )
        if (states < SILENT).sum() < LEAST * settings.bars:
            continue
        states = _in_one_key(states, model)
        bpm = settings.tempo or _tempo(model, shares)
        title = f"{' and '.join(shares) or 'sample'} {seed}"
        notes = played(
            states, layout=model.layout, bpm=bpm, velocity=_velocity(model, shares), genre=shares, title=title
        )
        details = {
            "model": model.name,
            "layout": model.layout.name,
            "bars": settings.bars,
            "tempo": round(bpm, 2),
            "notes": len(notes),
        }
        details["genre"] = {tag: round(share, 3) for tag, share in shares.items()}
        return Sampled(notes, states, seed, attempt + 1, details)
    raise NotesError(
        f"{TRIES} draws of seed {seed} came out nearly silent: try another seed, --hold-bias -1 or --temperature 0.5"
    )


# -- codes ----------------------------------------------------------------------------------------------------------


def drawn_codes(model, shares: Mapping[str, float], count: int, *, rng: np.random.Generator) -> np.ndarray:
    """(count, N_z) codes of windows side by side, on a smooth way through the petals of `shares` (tag -> share)."""
    noise = _way(model, count, rng)
    if not shares:
        noise = with_sliders(model, noise, "")
        return model.prior.from_noise(noise, np.full(count, model.component(None))).astype(np.float32)
    z, total = None, 0.0
    for tag, share in shares.items():
        here = model.prior.from_noise(with_sliders(model, noise, tag), np.full(count, model.component(tag)))
        total += share
        z = here if z is None else path(z, here, [share / total], kind="petals")[0]
    return z.astype(np.float32)


def with_sliders(model, noise: np.ndarray, tag: str) -> np.ndarray:
    """Noise (n, N_z) whose slider dimensions, which mean the same in all genres, are spread as windows of `tag` are."""
    usual = model.sliders.get(tag)
    if usual is None:
        return noise
    dims = slice(2, 2 + usual.shape[1])
    noise = noise.copy()
    noise[:, dims] = usual[0] + noise[:, dims] @ usual[1:].T
    return noise


def _way(model, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, N_z) noise of windows: great circles from phrase to phrase, at last back to the first."""
    per_phrase = max(1, PHRASES.get(model.bars, 4 * model.bars) // model.bars)  # windows
    phrases = -(-count // per_phrase)
    anchors = [rng.standard_normal(model.latent)]
    for _ in range(phrases):
        fresh = rng.standard_normal(model.latent)
        anchors.append(np.cos(ANGLE) * anchors[-1] + np.sin(ANGLE) * fresh)
    if phrases > 1:
        anchors[-1] = anchors[0]  # home
    place = np.arange(count) / per_phrase
    here, part = place.astype(int), place % 1
    steps = [path(anchors[i], anchors[i + 1], [p], kind="spherical")[0] for i, p in zip(here.tolist(), part.tolist())]
    return np.stack(steps)


def _in_one_key(states: np.ndarray, model) -> np.ndarray:
    """States (T, V) whose windows are transposed by what makes their pitch classes most like those of the first."""
    steps = model.steps
    count = -(-len(states) // steps)
    if count == 1:
        return states
    sounding, begins = expanded(states), states < SILENT
    shifts, first = np.zeros(len(states), dtype=np.int64), None
    for start in range(0, len(states), steps):
        part = sounding[start : start + steps][:, model.layout.pitched]
        chroma = np.bincount(part[part < SILENT] % 12, minlength=12).astype(np.float64)
        if not chroma.any():
            continue
        if first is None:
            first = chroma
            continue
        shifts[start : start + steps] = nearest_interval(first, chroma)
    moved = transposed(np.where(sounding < SILENT, sounding, HOLD)[:, None], shifts, layout=model.layout)[:, 0]
    border = np.zeros(len(states), dtype=bool)
    border[::steps] = True  # notes are struck again there: the windows know nothing of each other
    sounding = np.where(sounding < SILENT, moved, SILENT).astype(np.uint8)
    states = held(sounding, attack=begins | (border[:, None] & (shifts != 0)[:, None]))
    states[0] = np.where(states[0] == HOLD, SILENT, states[0])
    return states


def nearest_interval(first: np.ndarray, second: np.ndarray) -> int:
    """Semitones, -6 to 6, by which pitch classes `second` (12,) are most like `first`; of two alike the smaller."""
    options = np.arange(-6, 7)
    turned = np.stack([np.roll(second, s) for s in options])
    length = np.linalg.norm(first) * np.linalg.norm(second)
    like = turned @ first / max(length, 1e-9) - KEY_COST * np.abs(options)
    return int(options[np.argmax(like - 1e-9 * (options < 0))])


# -- how it is played -----------------------------------------------------------------------------------------------


def _tempo(model, shares: Mapping[str, float]) -> float:
    """Quarter notes per minute, the geometric mean by shares."""
    told = {tag: model.tempo.get(tag, model.tempo.get("", TEMPO)) for tag in shares or {"": 1.0}}
    logs = [share * np.log(told[tag]) for tag, share in (shares or {"": 1.0}).items()]
    return float(np.clip(np.exp(sum(logs)), SLOWEST, FASTEST))


def _velocity(model, shares: Mapping[str, float]) -> np.ndarray | None:
    """(V, 16)"""
    if not model.velocity:
        return None
    usual = model.velocity.get("", next(iter(model.velocity.values())))
    if not shares:
        return usual
    return sum(share * model.velocity.get(tag, usual) for tag, share in shares.items())
