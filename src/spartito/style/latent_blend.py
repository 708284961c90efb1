"""`blend`: as many pieces as one likes on the way from one song to another, or one piece that goes the way.

    a, b -> bars aligned, b in the key of a -> codes -> a way between them -> what the model expects there, with pulls
    to a and b that fade -> states -> notes of a, notes of b and new ones -> key and tempo between the two

Bars are aligned from the first downbeat on. Of two songs of different length the shorter repeats when it is a loop (16
bars at most); of two longer ones the common length is taken. Keys: b is transposed by the nearest interval that makes
its pitch classes most like those of a, and on the way the key goes back step by step ("glide"), so that the last piece
is b itself; "first" stays in the key of a, "keep" mixes the keys as they are. Tempo: the geometric mean by bars.
How the pulls fade is found by looking: every step is as far from a, by cells that differ, as its share of the way.
A note that a step has from a or b keeps its chord, its length and how early or late it is played; loudness goes from
the level of the one song to that of the other.

The first and the last piece are the sources to the last bit (but for the key, when asked). Tracks that the model's
layout leaves out play in these two only.

Source: interpolation as in A. Valenti, A. Carta, D. Bacciu (ECAI 2020), section 4.3; all else is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spartito.errors import ParameterError
from spartito.models.musae_paths import PATHS, path
from spartito.models.musae_prior import Flower
from spartito.notes.four_tracks import BAR, SILENT, expanded
from spartito.notes.notes import CONTROL_DTYPE, NOTE_DTYPE, Notes, Track
from spartito.style.latent_align import Material, aligned, aligned_lengths, chroma_of, in_key
from spartito.style.latent_cells import PULL, drawn, mixed
from spartito.style.latent_notes import (
    LEAST,
    Segments,
    place_velocities,
    stretches,
    usual_places,
)
from spartito.style.latent_play import clock_of, tracks_for
from spartito.style.latent_sample import nearest_interval
from spartito.style.latent_song import (
    Codes,
    LatentSong,
    check_layout,
    decode_logits,
    decode_song,
    encode_states,
    harmony_of,
)

__all__ = ["KEYS", "LENGTHS", "BlendSettings", "Blended", "Pair", "blend_pair", "morph_pair"]

KEYS = ("glide", "first", "keep")
LENGTHS = ("auto", "common", "longest")
MOST_STEPS = 256
HALVINGS = 6  # until a step is as far from a as it should be
SHORTEST = 0.02  # seconds
CONTROLS = (7, 10, 11, 64, 91)  # volume, place, expression, pedal, reverb: what goes along from the sources


@dataclass(frozen=True)
class BlendSettings:
    """How two songs are blended.

    Attributes
    ----------
    steps : pieces, the two songs included
    path : "linear", "spherical" or "petals" (see `models/musae_paths.py`)
    keys : "glide", "first" or "keep"
    length : "auto", "common" or "longest"
    pull : nats by which a step is drawn to what its songs do; 0: only what the model expects, the ends excepted
    temperature : noise on the scores; `seed` draws it
    reconstruct : plain decoding of the codes between, for those who study the model
    """

    steps: int = 8
    path: str = "linear"
    keys: str = "glide"
    length: str = "auto"
    pull: float = PULL
    temperature: float = 0.0
    seed: int = 0
    reconstruct: bool = False

    def __post_init__(self):
        if not 2 <= self.steps <= MOST_STEPS:
            raise ParameterError(f"a blend has 2 to {MOST_STEPS} steps, the two songs included, not {self.steps}")
        for what, value, known in (("path", self.path, PATHS), ("keys", self.keys, KEYS)):
            if value not in known:
                raise ParameterError(f"{what} is one of {', '.join(known)}, not {value!r}")
        if self.length not in LENGTHS:
            raise ParameterError(f"length is one of {', '.join(LENGTHS)}, not {self.length!r}")
        if not 0 <= self.pull <= 20:
            raise ParameterError(f"a pull lies between 0 and 20, not at {self.pull}")
        if not 0 <= self.temperature <= 5:
            raise ParameterError(f"a temperature lies between 0 and 5, not at {self.temperature}")


@dataclass(frozen=True, eq=False)
class Pair:
    """Two songs made ready for blending; `second` is in the key of the first, `interval` semitones from its own."""

    first: Material
    second: Material
    interval: int
    codes: Codes
    ends: tuple[np.ndarray, np.ndarray]
    settings: BlendSettings

    @property
    def steps(self) -> int:
        return len(self.first.states)

    @classmethod
    def of(cls, model, a: LatentSong, b: LatentSong, settings: BlendSettings) -> Pair:
        """Aligned and encoded."""
        if a.layout.name != b.layout.name:
            raise ParameterError(
                f"one is a piece for {a.layout.name} and the other for {b.layout.name}: say how both shall be read "
                "(--layout piano: all their instruments as one piano; --layout band)"
            )
        check_layout(model, a)
        if settings.path == "petals" and not isinstance(model.prior, Flower):
            raise ParameterError(f"model {model.name} has no petals: its prior is one Gaussian")
        interval = 0 if settings.keys == "keep" else nearest_interval(chroma_of(a), chroma_of(b))
        front, length = aligned_lengths(a, b, settings.length)
        first = aligned(a, front, length)
        second = in_key(aligned(b, front, length), interval)
        codes = encode_states(model, first.states)
        other = encode_states(model, second.states)
        return cls(first, second, interval, codes, (codes.z, other.z), settings)

    def report(self) -> dict:
        """For JSON."""
        songs = {}
        for name, m in (("a", self.first), ("b", self.second)):
            repeats = sum(1 for *_, cells in m.copies if cells) - (m.song.lead > 0)
            songs[name] = {"bars": m.song.bars, "repeats": max(repeats, 1), "beats_by": m.song.beats_by}
        return {
            "bars": self.steps // BAR,
            "layout": self.first.song.layout.name,
            "songs": songs,
            "interval": self.interval,
            "keys": self.settings.keys,
            "path": self.settings.path,
        }


@dataclass(frozen=True, eq=False)
class Blended:
    """One piece of a blend: its share of b, its notes, its states in the key of a, and figures."""

    share: float
    notes: Notes
    states: np.ndarray
    details: dict


# -- between --------------------------------------------------------------------------------------------------------


def blend_pair(
    model, a: LatentSong, b: LatentSong, settings: BlendSettings, *, progress: Callable[[float], None] | None = None
) -> tuple[list[Blended], Pair]:
    """The pieces of a blend, the songs themselves first and last."""
    pair = Pair.of(model, a, b, settings)
    pieces = []
    for number, share in enumerate(np.linspace(0, 1, settings.steps).tolist()):
        pieces.append(_piece(model, pair, share, number))
        if progress is not None:
            progress((number + 1) / settings.steps)
    return pieces, pair


def morph_pair(model, pair: Pair, pieces: list[Blended]) -> Blended:
    """One piece that begins as a and ends as b; `pieces` of their blend tell how the pulls must fade."""
    share = (np.arange(pair.steps) + 0.5) / pair.steps
    edge = min(BAR, pair.steps // 4)  # a bar of each as it is
    share[:edge], share[pair.steps - edge :] = 0.0, 1.0
    known = [(piece.share, piece.details.get("pull_share", piece.share)) for piece in pieces]
    pulls = np.interp(share, *zip(*known))
    states = _between(pair, _expected(model, pair, share), share, pulls)
    notes, details = _assembled(pair, states, share, title="morph")
    return Blended(float(share.mean()), notes, states, details)


def _piece(model, pair: Pair, share: float, number: int) -> Blended:
    distances = lambda s: {f"from_{n}": round(float((s != m.states).mean()), 4) for n, m in _both(pair)}  # noqa: E731
    if share in (0.0, 1.0):
        material = pair.second if share else pair.first
        notes = material.song.notes
        if share and pair.settings.keys == "first":
            notes = _all_transposed(notes, pair.interval)
        details = {"share": share, "notes": len(notes), "tempo": round(float(60 / np.median(material.quarter)), 2)}
        return Blended(share, notes, material.states, details | distances(material.states))
    shares = np.full(pair.steps, share)
    states, pulls = _even(pair, _expected(model, pair, shares), share)
    notes, details = _assembled(pair, states, shares, title=f"step {number + 1}")
    told = {"share": round(share, 4), "pull_share": round(pulls, 4)}
    return Blended(share, notes, states, told | details | distances(states))


def _both(pair: Pair):
    return (("a", pair.first), ("b", pair.second))


def _even(pair: Pair, expected, share: float) -> tuple[np.ndarray, float]:
    """States as far from a as `share` says, by cells that differ, and the share of the pulls that makes them so.

    With pulls that fade as the share does a blend would stay near a, cross over at once, and stay near b.
    """
    shares = np.full(pair.steps, share)
    if pair.settings.reconstruct or pair.settings.pull == 0:
        return _between(pair, expected, shares, shares), share
    tried, low, high = [], 0.0, 1.0
    for _ in range(HALVINGS):
        pulls = (low + high) / 2
        states = _between(pair, expected, shares, np.full(pair.steps, pulls))
        from_a, from_b = ((states != m.states).mean() for _, m in _both(pair))
        reached = from_a / max(from_a + from_b, 1e-9)
        tried.append((abs(reached - share), len(tried), states, pulls))
        low, high = (pulls, high) if reached < share else (low, pulls)
    _, _, states, pulls = min(tried, key=lambda one: one[:2])
    return states, pulls


def _expected(model, pair: Pair, share: np.ndarray):
    """What the model expects at shares (T,) of the way: `Chances`, or log-probabilities for plain decoding."""
    codes = pair.codes
    middle = np.minimum(codes.starts + codes.steps // 2, pair.steps - 1)
    kind = pair.settings.path
    z = np.stack([path(z1, z2, [s], kind=kind)[0] for z1, z2, s in zip(*pair.ends, share[middle].tolist())])
    if pair.settings.reconstruct:
        return decode_logits(model, z, codes.starts, pair.steps)
    return decode_song(model, z, codes, pair.steps)


def _between(pair: Pair, expected, share: np.ndarray, pulls: np.ndarray) -> np.ndarray:
    """(T, V) states at shares (T,), the pulls of a and b at theirs."""
    first, second, settings = pair.first, pair.second, pair.settings
    if settings.reconstruct:
        return drawn(expected, temperature=settings.temperature, seed=settings.seed)
    layout = first.song.layout
    pitched = [m.cells[layout.pitched[m.cells[:, 4]]] for m in (first, second)]
    s = share[:, None]
    harmony = (1 - s) * harmony_of(pitched[0], pair.steps) + s * harmony_of(pitched[1], pair.steps)
    absent = ((expanded(first.states) == SILENT) & (expanded(second.states) == SILENT)).all(axis=0)
    return mixed(
        first.states,
        second.states,
        expected,
        pulls,
        layout=layout,
        free=np.broadcast_to(~absent, first.states.shape),
        harmony=harmony / np.maximum(harmony.max(axis=1, keepdims=True), 1e-9),
        pull=settings.pull,
        temperature=settings.temperature,
        seed=settings.seed,
    )


# -- to notes -------------------------------------------------------------------------------------------------------


def _assembled(pair: Pair, states: np.ndarray, share: np.ndarray, *, title: str) -> tuple[Notes, dict]:
    """The notes of states between two songs."""
    layout = pair.first.song.layout
    start, length, pitch, voice = stretches(states).T
    loud = [place_velocities(m.song) for m in (pair.first, pair.second)]
    plain = [np.isin(np.arange(len(layout)), np.unique(m.cells[:, 4])) for m in (pair.first, pair.second)]
    rise = np.where((plain[0] & plain[1])[:, None], loud[1] - loud[0], 0.0)  # (V, 16) from a to b
    found = [_found(m.segments, start, pitch, voice) for m in (pair.first, pair.second)]
    late = share[start] >= 0.5
    of_first = (found[0] >= 0) & ~((found[1] >= 0) & late)
    of_second = (found[1] >= 0) & ~of_first
    parts = []
    for number, (m, mine) in enumerate(((pair.first, of_first), (pair.second, of_second))):
        part = _from(m, found[number], np.flatnonzero(mine), start, length)
        s = share[np.minimum(part[:, 0].astype(int), pair.steps - 1)]
        level = rise[part[:, 5].astype(int), part[:, 0].astype(int) % BAR]
        part[:, 4] += (s if number == 0 else s - 1) * level
        parts.append(part)
    fresh = ~(of_first | of_second)
    late_by, gap = usual_places(pair.first.song)
    v, c = voice[fresh], start[fresh]
    level = np.where(plain[0][v], loud[0][v, c % BAR], loud[1][v, c % BAR])
    level = np.where(plain[0][v] | plain[1][v], level + np.where(plain[0][v], share[c], 0) * rise[v, c % BAR], level)
    stop = c + length[fresh] - gap[v]
    parts.append(np.column_stack([c, c + late_by[v, c % BAR], stop, pitch[fresh], level, v]))
    table = np.concatenate(parts)
    details = {
        "of_a": int((of_first & ~(found[1] >= 0)).sum()),
        "of_b": int((of_second & ~(found[0] >= 0)).sum()),
        "of_both": int(((found[0] >= 0) & (found[1] >= 0)).sum()),
        "new": int(fresh.sum()),
    }
    notes, tempo = _played(pair, table, share, title=title)
    return notes, {"notes": len(notes), "tempo": tempo} | details


def _found(own: Segments, start: np.ndarray, pitch: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """(b,) the struck segment of a song that begins in that cell on that pitch; -1: none."""
    size = int(max(start.max(initial=0), own.start.max(initial=0))) + 1
    key = (own.voice * size + own.start) * 128 + own.pitch
    wanted = (voice * size + start) * 128 + pitch
    if len(key) == 0:
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where((key[place] == wanted) & own.struck[place], place, -1)


def _from(m: Material, found: np.ndarray, chosen: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(k, 6) cell, place, stop, pitch, velocity, track of the layout: the notes of a song that segments bring along.

    Where a segment ends elsewhere, so do its leader and what is struck with it.
    """
    target = np.full(len(m.segments) + 1, -1)
    target[found[chosen]] = chosen
    now = target[m.segments.of_row]
    rows = np.flatnonzero(now >= 0)
    was, now = m.segments.of_row[rows], now[rows]
    cell, _, key, loud, voice = m.cells[rows].T
    end, drums = start[now] + length[now], np.isin(voice, m.song.layout.drums)
    inside = (cell < end) | drums
    stop = m.stop[rows]
    with_leader = (cell == start[now]) & ~drums
    stop = np.where(with_leader, stop + end - m.segments.stop[was], np.where(drums, stop, np.minimum(stop, end)))
    stop = np.maximum(stop, m.place[rows] + LEAST)
    return np.column_stack([cell, m.place[rows], stop, key, loud, voice]).astype(np.float64)[inside]


def _played(pair: Pair, table: np.ndarray, share: np.ndarray, *, title: str) -> tuple[Notes, float]:
    """Notes on the clock between two songs, on the instruments of the nearer one, and the tempo."""
    layout = pair.first.song.layout
    s = share[::BAR]
    quarter = np.exp((1 - s) * np.log(pair.first.quarter) + s * np.log(pair.second.quarter))  # (bars,) seconds
    clock = clock_of(60 / quarter)
    cell, place, stop, pitch, loud, voice = table.T
    nearer = (share[cell.astype(int)] >= 0.5).astype(int)
    section = np.asarray(layout.sections)[voice.astype(int)]
    keys = section * 2 + nearer
    used = np.unique(keys)
    tracks, number = [], np.zeros(2 * (max(layout.sections) + 1), dtype=np.int64)
    for key in used.tolist():
        number[key] = len(tracks)
        tracks.append(_track(pair, key // 2, (pair.first, pair.second)[key % 2], clock))
    shift = np.zeros(len(share), dtype=np.int64)
    if pair.settings.keys == "glide":
        shift = -np.round(share * pair.interval).astype(np.int64)
    array = np.zeros(len(table), dtype=NOTE_DTYPE)
    array["onset"] = np.maximum(clock.quarters_to_seconds(place / 4), 0.0)
    array["offset"] = np.maximum(clock.quarters_to_seconds(stop / 4), array["onset"] + SHORTEST)
    pitched = layout.pitched[voice.astype(int)]
    array["pitch"] = np.clip(pitch + np.where(pitched, shift[cell.astype(int)], 0), 0, 127)
    array["velocity"] = np.clip(np.floor(loud + 0.5), 1, 127)
    array["track"], array["confidence"] = number[keys], 1.0
    names = [m.song.notes.title for m in (pair.first, pair.second)]
    heading = f"{names[0] or 'a'} to {names[1] or 'b'}, {title}"
    made = Notes(
        _once(array, one=layout.together), tracks=tuple(tracks) or tracks_for(layout), tempo_map=clock, title=heading
    )
    return made, round(float(60 / np.median(quarter)), 2)


def _once(array: np.ndarray, *, one: bool) -> np.ndarray:
    """Each key of a track once at a time, and none that reaches into its next stroke; `one`: tracks share the keys."""
    number = lambda: array["pitch"] + 128 * array["track"].astype(np.int64) * (not one)  # noqa: E731
    array = array[np.lexsort((-array["offset"], array["onset"], number()))]
    double = np.append(False, (np.diff(number()) == 0) & (np.diff(array["onset"]) < 2 * SHORTEST))[: len(array)]
    array = array[~double]
    same = np.diff(number()) == 0
    array["offset"][:-1] = np.where(same, np.minimum(array["offset"][:-1], array["onset"][1:]), array["offset"][:-1])
    return array


def _track(pair: Pair, section: int, nearer: Material, clock) -> Track:
    """The instrument of a section: the one of the nearer song with most notes, or of the other if it has none."""
    layout = nearer.song.layout
    for m in (nearer, *(m for _, m in _both(pair))):
        members = np.isin(np.asarray(layout.sections)[m.cells[:, 4]], [section])
        if members.any():
            tracks = m.song.notes.array["track"][m.song.band.rows[m.rows[members]]]
            given = m.song.notes.tracks[int(np.bincount(tracks).argmax())]
            name = tracks_for(layout)[section].name
            return Track(
                name=name if layout.together else given.name or name,
                program=given.program,
                is_drum=given.is_drum,
                controls=_controls(m, given, clock),
                channel=-1 if layout.together else given.channel,
            )
    return tracks_for(layout)[section]


def _controls(m: Material, track: Track, clock) -> np.ndarray:
    """(n,) CONTROL_DTYPE: volume, pedal and the like of a track, at their places in the aligned bars."""
    controls = track.controls[np.isin(track.controls["number"], CONTROLS)]
    cell = 4 * m.song.band.grid.place(controls["time"]) + m.song.lead
    parts = []
    for number, (begin, at, cells) in enumerate(m.copies):
        early = (cell < begin) & (number == 0) & (controls["number"] != 64)
        inside = ((cell >= begin) & (cell < begin + cells)) | early
        part = controls[inside].copy()
        part["time"] = clock.quarters_to_seconds(np.maximum(cell[inside] - begin, 0) / 4 + at / 4)
        parts.append(part)
    found = np.concatenate(parts) if parts else np.zeros(0, dtype=CONTROL_DTYPE)
    return found[np.argsort(found["time"], kind="stable")]


def _all_transposed(notes: Notes, interval: int) -> Notes:
    """All pitched notes `interval` semitones higher."""
    drums = np.array([t.is_drum for t in notes.tracks])
    array = notes.array.copy()
    array["pitch"] = np.where(drums[array["track"]], array["pitch"], np.clip(array["pitch"] + interval, 0, 127))
    return notes.with_array(array)
