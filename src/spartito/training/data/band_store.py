"""A store of bands: songs of four tracks as states, with their tags, for the latent space.

Job
    Every reader of a set (`lakh.py`, `multitrack.py`, `orchestrated.py`) gives `BandPiece`s; `write_bands` sorts them
    into splits and leaves doubles out; `open_bands` gives back what a training asks for: windows of 2 or of 16 bars by
    one rule of silence, in any key.

Method
    A song is kept once, as states of its whole length (`notes/four_tracks.py`), not as overlapping windows; windows
    begin at every bar inside stretches of 4/4. Splits are by song (`data/splits.py`): the published program cuts
    overlapping windows of one song into training and validation, and then validates on training batches.

Files
    `STORE/<split>/<set>.npz`: `states` and `velocity` (N, 4) uint8; `piece` (bands + 1,) offsets; `names`, `songs`
    (bands,); `tags` (bands, tags) bool and `tag_names`; `licences` (bands,); `tempo` (bands,) quarter notes per minute;
    `regions` (r, 3): band, first step, step behind the last, of stretches in 4/4. A song may give several bands.
    `layout`, a name of `notes/layouts.py`, band where it is missing; a store holds one layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from spartito.analysis.beats import beats_from_tempo_map
from spartito.errors import NotesError, ParameterError
from spartito.files import atomic_path
from spartito.notes.four_tracks import (
    BAR,
    COMPAT_PICK,
    MAX_SILENT,
    PICK,
    STRINGS,
    Band,
    accepted,
    band,
    combinations,
    digest,
    encode,
    expanded,
    held,
    transposed,
)
from spartito.notes.layouts import BAND, Layout, layout_of
from spartito.notes.notes import Notes
from spartito.training.data.genre_store import bar_regions, tick_bars
from spartito.training.data.splits import TEST, VALIDATION, tenth_of

__all__ = ["SPLITS", "BandPiece", "Bands", "bands_of", "is_four_four", "open_bands", "table", "write_bands"]

SPLITS = ("train", "validation", "test")
COMBINATIONS = 4  # bands that one song may give


@dataclass(frozen=True, eq=False)
class BandPiece:
    """One band of a song.

    `states`, `velocity` (T, tracks) uint8; `regions` (r, 2) steps of 4/4; `song` is what is never in two splits; `tags`
    are words; `licence` is free, NC or unclear.
    """

    name: str
    song: str
    states: np.ndarray
    velocity: np.ndarray
    regions: np.ndarray
    tags: tuple[str, ...]
    licence: str
    tempo: float


# -- from a song ----------------------------------------------------------------------------------------------------


def is_four_four(notes: Notes) -> bool:
    """Whether every time signature is 4/4; none at all passes, as in the published program."""
    return all((s.numerator, s.denominator) == (4, 4) for s in notes.tempo_map.time_signatures)


def bands_of(
    notes: Notes,
    *,
    name: str,
    song: str,
    tags: Sequence[str],
    licence: str,
    compat: bool = False,
    trio: bool = True,
    most: int = COMBINATIONS,
    programs: str = "published",
) -> Iterator[BandPiece]:
    """The bands of a song by the clock of its file.

    Raises NotesError, with the reason, when it gives none: its notes are not on its clock, it is not in 4/4 for four
    bars, or a track is missing.

    Parameters
    ----------
    compat : bool
        As the published program: every signature must be 4/4, of each track the lowest note, struck again is hold.
    trio : bool
        Songs without strings are taken; with `compat` they are passed over.
    most : int
        Bands a song may give, 0: all, as published.
    """
    if compat and not is_four_four(notes):
        raise NotesError("not every time signature is 4/4")
    chosen = combinations(notes, programs=programs, most=most)
    if not chosen:
        raise NotesError("no drums, no bass, or no guitar and piano")
    if (compat or not trio) and not (chosen[0] == STRINGS).any():
        raise NotesError("no strings")
    beats = beats_from_tempo_map(notes)
    if beats is None:
        raise NotesError("its notes do not lie on the beats of its clock")
    starts, lengths = tick_bars(notes.tempo_map, float(notes.tempo_map.seconds_to_quarters(notes.duration)))
    first = float(beats.quarters[0])
    regions = bar_regions(starts - round(4 * first), lengths, bar=BAR, least=2 * BAR)
    if not len(regions):
        raise NotesError("no two bars in 4/4")
    for number, roles in enumerate(chosen):
        made = band(notes, beats, roles=roles, compat=compat)
        yield piece_of(
            made,
            name=f"{name}#{number}" if number else name,
            song=song,
            tags=tags,
            licence=licence,
            regions=regions,
            tempo=beats.tempo,
            compat=compat,
        )


def piece_of(
    made: Band,
    *,
    name: str,
    song: str,
    tags: Sequence[str],
    licence: str,
    regions: np.ndarray,
    tempo: float,
    compat: bool = False,
) -> BandPiece:
    """A band on the grid as states. `regions` (r, 2) in steps of its grid."""
    states, velocity = encode(
        made.notes, made.steps, pick=COMPAT_PICK if compat else PICK, rearticulate=not compat, velocities=True
    )
    regions = np.minimum(np.asarray(regions, dtype=np.int64), made.steps)
    regions[:, 1] -= (regions[:, 1] - regions[:, 0]) % BAR
    return BandPiece(
        name, song, states, velocity, regions[regions[:, 1] > regions[:, 0]], tuple(tags), licence, float(tempo)
    )


# -- files ----------------------------------------------------------------------------------------------------------


def split_of_song(song: str) -> str:
    """train, validation or test, from the name of a song alone."""
    return {TEST: "test", VALIDATION: "validation"}.get(tenth_of(song), "train")


def write_bands(
    store: Path,
    name: str,
    pieces: Iterable[BandPiece],
    *,
    split: Callable[[str], str] = split_of_song,
    tags: Sequence[str] | None = None,
    layout: Layout = BAND,
) -> dict[str, int]:
    """Write a set into its splits, in place of what was there of it; how many bands went to each.

    A band whose content came before, in whatever key, is left out, so that no song is in two splits under two names.
    `tags` are the tags that count, in their order; all that occur if not given.
    """
    found: dict[str, list[BandPiece]] = {s: [] for s in SPLITS}
    seen: dict[str, str] = {}
    for piece in pieces:
        if piece.states.shape[1] != len(layout):
            raise ParameterError(
                f"{piece.name} has {piece.states.shape[1]} tracks, not the {len(layout)} of a {layout.name}"
            )
        mark = digest(piece.states, layout=layout)
        if mark not in seen and len(piece.regions):
            seen[mark] = piece.name
            found[split(piece.song)].append(piece)
    everything = [p for of in found.values() for p in of]
    if not everything:
        raise ParameterError(f"there is no band in 4/4 to be written to {store}")
    names = [p.name for p in everything]
    if len(set(names)) < len(names):
        raise ParameterError(f"two bands have the name {next(n for n in names if names.count(n) > 1)!r}")
    tags = sorted({t for p in everything for t in p.tags}) if tags is None else list(tags)
    for s, of in found.items():
        path = Path(store, s, f"{name}.npz")
        if not of:
            path.unlink(missing_ok=True)
            continue
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, layout=np.array(layout.name), **_columns(of, tags))
    return {s: len(of) for s, of in found.items()}


def _columns(pieces: Sequence[BandPiece], tags: Sequence[str]) -> dict[str, np.ndarray]:
    number = np.repeat(np.arange(len(pieces)), [len(p.regions) for p in pieces])
    return {
        "states": np.concatenate([p.states for p in pieces]),
        "velocity": np.concatenate([p.velocity for p in pieces]),
        "piece": np.concatenate([[0], np.cumsum([len(p.states) for p in pieces])]).astype(np.int64),
        "names": np.array([p.name for p in pieces]),
        "songs": np.array([p.song for p in pieces]),
        "licences": np.array([p.licence for p in pieces]),
        "tags": np.array([[t in p.tags for t in tags] for p in pieces], dtype=bool).reshape(len(pieces), len(tags)),
        "tag_names": np.array(tags, dtype=np.str_),
        "tempo": np.array([p.tempo for p in pieces], dtype=np.float32),
        "regions": np.column_stack([number, np.concatenate([p.regions for p in pieces])]).astype(np.int64),
    }


def open_bands(
    store: Path, split: str, *, sets: Sequence[str] | None = None, licences: Sequence[str] | None = None
) -> Bands:
    """The bands of a split: of some sets and licences, or of all. Raises ParameterError when there are none."""
    if split not in SPLITS:
        raise ParameterError(f"the split is one of {', '.join(SPLITS)}, not {split!r}")
    paths = sorted(Path(store, split).glob("*.npz"))
    contents = []
    for path in paths:
        if sets is None or path.stem in sets:
            try:
                with np.load(path) as data:
                    contents.append(dict(data) | {"sets": np.array([path.stem])})
            except (OSError, ValueError, EOFError, BadZipFile) as error:
                raise NotesError(f"{path} is no file of a store of bands: {error}") from error
    made = Bands.of(contents) if contents else None
    if made is not None and licences is not None:
        made = made.select(np.isin(made.licences, list(licences)))
    if made is None or len(made) == 0:
        raise ParameterError(f"{store} holds no bands of the split {split}" + (f" from {sets}" if sets else ""))
    return made


# -- bands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Bands:
    """Bands one behind the other, as the files have them; `sets` (bands,) tells where each is from."""

    states: np.ndarray
    velocity: np.ndarray
    piece: np.ndarray
    names: np.ndarray
    songs: np.ndarray
    licences: np.ndarray
    tags: np.ndarray
    tag_names: np.ndarray
    tempo: np.ndarray
    regions: np.ndarray
    sets: np.ndarray
    layout: Layout = BAND

    @classmethod
    def of(cls, contents: Sequence[dict[str, np.ndarray]]) -> Bands:
        """From the arrays of several files; tags are joined by name."""
        layouts = {str(c.get("layout", BAND.name)) for c in contents}
        if len(layouts) > 1:
            raise ParameterError(f"a store holds one layout, not {' and '.join(sorted(layouts))}")
        names = list(dict.fromkeys(str(t) for c in contents for t in c["tag_names"]))
        counts = [len(c["names"]) for c in contents]
        before = np.cumsum([0, *counts])
        tags = np.zeros((before[-1], len(names)), dtype=bool)
        regions = []
        for first, c in zip(before, contents):
            tags[first : first + len(c["names"]), [names.index(str(t)) for t in c["tag_names"]]] = c["tags"]
            regions.append(c["regions"] + [first, 0, 0])
        sizes = np.concatenate([np.diff(c["piece"]) for c in contents])
        same = ("states", "velocity", "names", "songs", "licences", "tempo")
        return cls(
            piece=np.concatenate([[0], np.cumsum(sizes)]),
            tags=tags,
            tag_names=np.array(names),
            regions=np.concatenate(regions),
            sets=np.repeat(np.concatenate([c["sets"] for c in contents]), counts),
            layout=layout_of(layouts.pop()),
            **{name: np.concatenate([c[name] for c in contents]) for name in same},
        )

    def __len__(self) -> int:
        return len(self.names)

    def select(self, chosen: np.ndarray) -> Bands:
        """The bands that `chosen` (bands,) bool picks."""
        chosen = np.asarray(chosen, dtype=bool)
        sizes = np.diff(self.piece)
        cells = np.repeat(chosen, sizes)
        regions = self.regions[chosen[self.regions[:, 0]]].copy()
        regions[:, 0] = (np.cumsum(chosen) - 1)[regions[:, 0]]
        rows = ("names", "songs", "licences", "tags", "tempo", "sets")
        return Bands(
            states=self.states[cells],
            velocity=self.velocity[cells],
            piece=np.concatenate([[0], np.cumsum(sizes[chosen])]),
            tag_names=self.tag_names,
            regions=regions,
            layout=self.layout,
            **{name: getattr(self, name)[chosen] for name in rows},
        )

    def with_tags(self, names: Sequence[str]) -> Bands:
        """The same bands with these tags, in this order; what they do not have of them is no tag of theirs."""
        found = {str(t): column for t, column in zip(self.tag_names, self.tags.T)}
        none = np.zeros(len(self), dtype=bool)
        tags = np.array([found.get(str(t), none) for t in names], dtype=bool).reshape(len(names), len(self)).T
        return replace(self, tags=tags, tag_names=np.array([str(t) for t in names], dtype=np.str_))

    @cached_property
    def sounding(self) -> np.ndarray:
        """(N, tracks) uint8, 0..128: what sounds at each step."""
        return np.concatenate([expanded(self.states[a:b]) for a, b in zip(self.piece, self.piece[1:])])

    @cached_property
    def compat_states(self) -> np.ndarray:
        """(N, tracks) states in which a note struck again is hold."""
        return np.concatenate([held(self.sounding[a:b]) for a, b in zip(self.piece, self.piece[1:])])

    def windows(
        self,
        *,
        bars: int = 2,
        hop: int = BAR,
        max_silent: int = MAX_SILENT["ours"],
        optional: Sequence[int] = (),
        unique: bool = True,
    ) -> np.ndarray:
        """(w, 2) int, band and first step, of windows inside 4/4 that pass the rule of silence (`accepted`).

        `unique`: of windows of one song that are alike, one.
        """
        steps, found = BAR * bars, []
        place = np.arange(steps)
        for number, first, last in self.regions:
            starts = np.arange(first, last - steps + 1, hop)
            if not len(starts):
                continue
            cells = self.piece[number] + starts[:, None] + place
            good = accepted(self.sounding[cells], max_silent=max_silent, optional=optional, layout=self.layout)
            if unique and good.any():
                good = np.flatnonzero(good)
                _, kept = np.unique(self.states[cells[good]].reshape(len(good), -1), axis=0, return_index=True)
                good = good[np.sort(kept)]
            found.append(np.column_stack([np.full(len(starts), number), starts])[good])
        return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)

    def states_of(self, windows: np.ndarray, *, bars: int = 2, transpose=0, compat: bool = False) -> np.ndarray:
        """(w, steps, tracks) uint8: states of windows, in another key if wanted ((w,) semitones or one)."""
        begin = self.piece[windows[:, 0]] + windows[:, 1]
        states = (self.compat_states if compat else self.states)[begin[:, None] + np.arange(BAR * bars)]
        states[:, 0] = self.sounding[begin]
        return transposed(states, transpose, layout=self.layout)

    def draw_tags(self, windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(w,) int: of each window one of its song's tags, drawn evenly; the number of tags where there is none."""
        tags = self.tags[windows[:, 0]]
        score = np.where(tags, rng.random(tags.shape), -1.0)
        return np.where(tags.any(axis=1), score.argmax(axis=1), tags.shape[1])

    def chances(self, windows: np.ndarray) -> np.ndarray:
        """(w,) float, sum 1: every tag equally likely, in it every song, in it every window.

        A song with several tags counts for each; songs without one count as one more tag.
        """
        tags = np.column_stack([self.tags, ~self.tags.any(axis=1)]).astype(float)
        used = np.unique(windows[:, 0])
        _, song = np.unique(self.songs, return_inverse=True)
        many = np.bincount(song[windows[:, 0]], minlength=song.max() + 1)  # windows of each song
        of_song = np.zeros((len(many), tags.shape[1]))
        np.maximum.at(of_song, song[used], tags[used])
        weight = (of_song / np.maximum(of_song.sum(axis=0), 1)).sum(axis=1)  # of each song
        chance = (weight / np.maximum(many, 1))[song[windows[:, 0]]]
        return chance / chance.sum()


def table(store: Path, *, bars: Sequence[int] = (2, 16), **rules) -> str:
    """Windows of each tag and licence in a store, as lines of text; `rules` as of `Bands.windows`."""
    lines = [f"{'split':11}{'tag':24}{'licence':9}{'songs':>7}{'bands':>7}" + "".join(f"{b:>7} bars" for b in bars)]
    for split in SPLITS:
        try:
            bands = open_bands(store, split)
        except ParameterError:
            continue
        counts = [np.bincount(bands.windows(bars=b, **rules)[:, 0], minlength=len(bands)) for b in bars]
        for i, tag in enumerate(bands.tag_names):
            for licence in np.unique(bands.licences):
                rows = bands.tags[:, i] & (bands.licences == licence)
                if rows.any():
                    numbers = "".join(f"{c[rows].sum():12,}" for c in counts)
                    songs = len(np.unique(bands.songs[rows]))
                    lines.append(f"{split:11}{tag:24}{licence:9}{songs:7,}{rows.sum():7,}{numbers}")
        numbers = "".join(f"{c.sum():12,}" for c in counts)
        lines.append(f"{split:11}{'all':33}{len(np.unique(bands.songs)):7,}{len(bands):7,}{numbers}")
    return "\n".join(lines)
