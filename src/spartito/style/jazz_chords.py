"""The chords of a jazz piece, heard the way jazz is built.

Job
    `chords_in` names the chords of a piece for its score, where no engine has chosen them: of jazz by `jazz_chords`, of
    everything else by `analysis.note_chords`.

    Engines still hear a jazz source as they hear any other. Its chords are then more often wrong by name, but made of
    the tones that sound: with the right ones the accompaniment kept less of its pitch classes (jazz to pop on 32
    validation phrases: chroma similarity 0.63 for 0.72, the same success). Nor is it the way to hear what the engines
    write as jazz, who play roots (57 % of the roots of `comping`, 73 % as others are heard).

Method
    What finds the chords of songs fails on jazz: a pianist leaves out the root, adds ninths and thirteenths, strikes a
    chord an eighth before its beat, and a bass walks through all tones. So here

    - a chord explains the pitch classes of a beat by how often they sound over chords of its quality (`SOUND`: third
      and seventh above all, the root no more than the fifth, ninth and thirteenth nearly as often);
    - what is struck on the last sixteenth of a beat and held belongs to the next one;
    - the bass says something where a chord begins (`FIRST_BASS`: the root in half of the cases), and little elsewhere;
    - chords follow each other as they do in jazz (`HarmonyStatistics.chain` and `.changes`: a dominant goes down a
      fifth, and on a downbeat), which turns scattered thirds and sevenths into progressions.

    The best path over beats (Viterbi) is the answer. Its chords stand on their roots: the lowest key of a voicing is no
    bass, that would be another player's. The weights were chosen on a third of the validation solos.
    `benchmarks/jazz_chords.py` on test works: roots of 55 % of the beats right, 27 % as other genres are heard. These
    solos are real, what accompanies them was made by a rule (`training.jazz_comping`): of real comping nobody has told
    us the chords.

Source
    Chains of chords behind what is heard: A. Sheh, D. Ellis, 'Chord segmentation and recognition using EM-trained
    hidden Markov models' (ISMIR 2003). Voicings without roots: M. Levine, 'The jazz piano book' (1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from spartito.analysis.note_chords import (
    DEFAULT_NOTE_CHORDS,
    QUALITIES,
    ChordTrack,
    beat_chroma,
    chords_of,
    local_keys,
)
from spartito.models.hub import find_model
from spartito.models.idiom_runtime import STATISTICS
from spartito.notes.phrases import LEFT_HAND, STEPS_PER_BEAT
from spartito.style.engines import COMPING, GENRES
from spartito.style.harmony import STATES, HarmonyStatistics, absolute_states, strengths_of

__all__ = ["JazzChordConfig", "chords_in", "jazz_chords", "on_their_beats", "shipped_harmony"]

JAZZ = "jazz"
# Percent of the sound of a beat at each semitone above the root, for each of `QUALITIES`; of the first beat of a chord
# in the bass. Counted in 241 training solos of the Weimar Jazz Database (`benchmarks/jazz_chords.py --count`).
# fmt: off
SOUND = (
    (15, 1, 12, 2, 22, 3, 1, 17, 1, 20, 1, 4),  # maj
    (12, 1, 13, 22, 1, 5, 2, 16, 2, 9, 14, 2),  # min
    (19, 4, 3, 19, 3, 3, 13, 2, 6, 17, 4, 6),  # dim
    (3, 3, 14, 6, 12, 5, 3, 11, 12, 8, 21, 3),  # aug
    (15, 1, 13, 2, 4, 19, 2, 11, 2, 9, 19, 2),  # sus4
    (13, 1, 13, 2, 21, 3, 2, 11, 1, 10, 1, 20),  # maj7
    (16, 1, 12, 21, 2, 6, 2, 15, 2, 3, 19, 2),  # min7
    (15, 3, 11, 3, 19, 4, 2, 11, 3, 8, 19, 2),  # 7
    (24, 4, 2, 20, 3, 6, 14, 2, 3, 3, 17, 2),  # hdim7
    (20, 4, 5, 19, 3, 2, 13, 1, 5, 18, 3, 5),  # dim7
    (12, 1, 14, 19, 1, 5, 2, 25, 1, 2, 1, 16),  # minmaj7
    (16, 1, 11, 2, 21, 4, 2, 15, 1, 20, 1, 5),  # maj6
    (15, 1, 14, 21, 1, 5, 2, 17, 1, 18, 3, 2),  # min6
    (8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8),  # sus2
)
FIRST_BASS = (
    (47, 2, 5, 0, 16, 2, 1, 8, 1, 14, 0, 3),  # maj
    (44, 0, 5, 19, 0, 2, 1, 10, 1, 4, 13, 2),  # min
    (45, 3, 1, 17, 1, 0, 9, 1, 4, 15, 1, 3),  # dim
    (6, 6, 17, 6, 12, 6, 6, 6, 9, 6, 18, 6),  # aug
    (51, 1, 7, 1, 1, 13, 1, 3, 1, 5, 16, 1),  # sus4
    (49, 0, 8, 1, 16, 2, 1, 4, 1, 4, 0, 15),  # maj7
    (53, 1, 6, 14, 1, 2, 0, 7, 1, 1, 13, 1),  # min7
    (52, 1, 5, 1, 14, 2, 1, 3, 2, 4, 14, 1),  # 7
    (60, 1, 0, 14, 1, 2, 8, 0, 1, 1, 11, 1),  # hdim7
    (55, 2, 2, 14, 1, 1, 7, 1, 2, 12, 1, 3),  # dim7
    (20, 4, 7, 25, 4, 4, 4, 8, 4, 4, 4, 10),  # minmaj7
    (51, 0, 5, 0, 13, 2, 1, 9, 1, 14, 0, 3),  # maj6
    (48, 0, 6, 13, 1, 2, 0, 11, 1, 15, 2, 1),  # min6
    (8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8),  # sus2
)
# fmt: on
UNSEEN = 0.4  # percent that stands for 0
LEAST = 1e-9


@dataclass(frozen=True)
class JazzChordConfig:
    """Weights of what speaks for a chord, in nats."""

    evidence: float = 8.0  # of the pitch classes of a beat
    enough: float = 0.6  # beats of sound at which half of that weight is reached
    bass: float = 0.3  # of the bass within a chord
    first_bass: float = 0.6  # of the bass where it begins
    chain: float = 1.0  # of what follows what
    key_around: int = 8  # beats before and after one that say its key


DEFAULT_JAZZ_CHORDS = JazzChordConfig()


def chords_in(notes: np.ndarray, n_beats: int, *, genre: str | None, positions: np.ndarray | None = None) -> ChordTrack:
    """The chords of notes on the grid of a genre, as `analysis.note_chords.chords_of`; of jazz by `jazz_chords`."""
    if genre != JAZZ:
        return chords_of(notes, n_beats, positions=positions)
    return jazz_chords(notes, n_beats, shipped_harmony(), positions=positions)


@cache
def shipped_harmony() -> HarmonyStatistics:
    """The statistics that ship with the engine `comping`."""
    from safetensors.numpy import load_file

    return HarmonyStatistics.from_arrays(load_file(str(find_model(COMPING).folder / STATISTICS)))


def jazz_chords(
    notes: np.ndarray,
    n_beats: int,
    statistics: HarmonyStatistics,
    *,
    positions: np.ndarray | None = None,
    config: JazzChordConfig = DEFAULT_JAZZ_CHORDS,
) -> ChordTrack:
    """Chords and keys of jazz on the grid; parameters as those of `analysis.note_chords.chords_of`."""
    notes = np.asarray(notes, dtype=np.int64).reshape(-1, 5)
    places = np.arange(n_beats) % 4 if positions is None else np.asarray(positions)
    usual = chords_of(notes, n_beats, positions=positions)
    if n_beats == 0 or usual.key == "":
        return usual
    chroma, bass = beat_chroma(on_their_beats(notes), n_beats)
    total = chroma.sum(axis=1, keepdims=True)
    sound, low = (_of_states(_shares(percent)) for percent in (SOUND, FIRST_BASS))
    weight = config.evidence * total / (total + config.enough)
    within = config.bass * bass @ sound.T
    stays = weight * (chroma / np.maximum(total, LEAST)) @ sound.T + within
    begins = config.first_bass * bass @ low.T - within
    keys = local_keys(chroma, config=replace(DEFAULT_NOTE_CHORDS, key_around=config.key_around))
    path = _path(stays, begins, strengths_of(places), np.maximum(keys, 0), statistics, config)
    silent = (total[:, 0] == 0) & (usual.root < 0)
    root = np.where(silent, -1, path % 12)
    return ChordTrack(root, np.where(silent, -1, path // 12), root.copy(), key=usual.key, keys=keys)


def on_their_beats(notes: np.ndarray) -> np.ndarray:
    """The notes; those of the left hand that are struck on the last step of a beat and held, on the next beat."""
    early = (notes[:, 0] % STEPS_PER_BEAT == STEPS_PER_BEAT - 1) & (notes[:, 4] == LEFT_HAND)
    found = notes.copy()
    found[early, 0] += 1
    found[early, 1] = np.maximum(found[early, 1] - 1, 1)
    return found


def _shares(percent) -> np.ndarray:
    """(qualities, 12) probabilities of a table of percent."""
    table = np.maximum(np.asarray(percent, dtype=np.float64), UNSEEN)
    return table / table.sum(axis=1, keepdims=True)


def _of_states(table: np.ndarray) -> np.ndarray:
    """(168, 12) logarithms, C first, of a table (qualities, 12) above the root; state = 12 · quality + root."""
    index = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12
    return np.log(table[:, index]).reshape(len(QUALITIES) * 12, 12)


def _path(stays, begins, place, keys, statistics: HarmonyStatistics, config: JazzChordConfig) -> np.ndarray:
    """(beats,) the best path through what speaks for each chord (beats, 168), and for its beginning there."""
    genre, every = GENRES.index(JAZZ), np.arange(STATES)
    changes = np.clip(statistics.changes[genre], 0.02, 0.98)
    chains = {}
    for key in np.unique(keys):
        relative = absolute_states(every, int(key) % 12)
        chain = statistics.chain[genre, int(key) // 12][np.ix_(relative, relative)]
        chains[key] = config.chain * np.log(chain + LEAST)
    back = np.zeros(stays.shape, dtype=np.int16)
    best = stays[0] + begins[0]
    for i in range(1, len(stays)):
        total = chains[keys[i]] + (np.log(changes[place[i]]) + begins[i])
        total[every, every] = np.log(1 - changes[place[i]])
        total += best[:, None]
        back[i] = total.argmax(axis=0)
        best = total[back[i], every] + stays[i]
    path = np.full(len(stays), int(best.argmax()))
    for i in range(len(stays) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path
