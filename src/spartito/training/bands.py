"""Recordings of bands that never were: songs of POP909, orchestrated, played on SoundFonts, mixed.

Job
    Make excerpts with labels that agree with the sound to a few milliseconds (`make_bands`), or the singer and the
    accompaniment apart (`render_stems`).

Method
    A song is changed (tempo, key; one in eight loses a beat of every bar of four and becomes a waltz), an excerpt is
    cut, a band plays it (`training/orchestrate.py`), in a third of the cases with a computed singer
    (`training/voice.py`). FluidSynth renders lead, drums and the rest as three stems, many excerpts in one call, since
    loading a large SoundFont takes longer than playing a minute. The stems are balanced by their loudness and mixed as
    `training/band_mix.py` says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spartito.errors import MissingExtraError, ParameterError
from spartito.notes import smf
from spartito.notes.notes import Notes
from spartito.training.band_mix import mix_down, mix_stems
from spartito.training.band_patterns import TEST_SOUNDFONTS
from spartito.training.data.bands import RATE, labels_of, save_band
from spartito.training.data.pop909 import PopSong, agreement, agrees, list_songs, read_song
from spartito.training.data.pop909_edits import as_waltz, moved, part, retimed, transposed
from spartito.training.orchestrate import Orchestration, orchestrate, triplet_share
from spartito.training.voice import sing

__all__ = ["Excerpt", "Stem", "excerpt_of", "make_bands", "play_stems", "render_stems"]

RENDER_RATE = 32_000  # Hz: FluidSynth does not filter before resampling, so render above and let soxr filter
LATENCY = 0.003  # s from a note-on to its attack, as measured on drums, keys and plucked strings
GAP = 0.6  # s between two stems of one call; all sound is cut in its middle
BATCH = 16  # excerpts per call: 16 x 3 stems x 75 s of stereo are a gigabyte on disk
TICKS = 10_000  # per second, of the MIDI files made here
WALTZ_SHARE, CHANGE_SHARE, DRIFT_SHARE = 0.13, 0.04, 0.3  # of the songs
TEMPI = (45.0, 210.0)  # beats per minute that an excerpt may have
OFF, ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0  # upper halves of status bytes
ALL_SOUND_OFF, RESET = 120, 121  # control changes
DRUM_CHANNEL = 9
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A part of a changed song; second 0 is where its recording begins. The bar before is there, too."""

    name: str
    song: PopSong
    duration: float  # s
    edits: dict


@dataclass(frozen=True, eq=False)
class Stem:
    """What one SoundFont plays of one excerpt: some tracks, from second 0 to `duration`."""

    notes: Notes
    soundfont: Path
    duration: float


def excerpt_of(song: PopSong, seed, *, seconds: float, name: str = "") -> Excerpt:
    """A random version of a random part of `song`, `seconds` long or to the end; the same for the same seed."""
    rng = np.random.default_rng(seed)
    edits: dict = {"waltz": False, "triplets": round(triplet_share(song), 3)}
    if rng.random() < WALTZ_SHARE and np.median(song.bar_lengths) == 4:
        song, edits["waltz"] = as_waltz(song), True
    lengths = np.diff(song.beats)
    tempo = 60.0 / float(np.median(lengths))
    low, high = max(0.8, TEMPI[0] / tempo), min(1.25, TEMPI[1] / tempo)
    factor = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low < high else 1.0
    lengths = lengths / factor
    if rng.random() < DRIFT_SHARE:  # nobody counts in: the tempo wanders by about a percent
        wander = np.convolve(rng.standard_normal(len(lengths) + 15), np.ones(16) / 4, "valid")
        lengths = lengths * np.exp(rng.uniform(0.003, 0.015) * wander)
    change = rng.random() < CHANGE_SHARE
    if change:
        first = int(rng.choice(song.downbeats[1:-1])) if len(song.downbeats) > 2 else 0
        edits["tempo_change"] = [first, float(rng.choice([0.8, 0.88, 1.12, 1.22]))]
        lengths[first:] /= edits["tempo_change"][1]
    song = retimed(song, song.beats[0] / factor + np.concatenate([[0.0], np.cumsum(lengths)]))
    edits |= {"tempo_factor": factor, "transposition": int(rng.integers(-5, 7))}
    song = transposed(song, edits["transposition"])

    end = float(max(song.beats[-1], song.piano[:, 1].max() if len(song.piano) else 0.0)) + 1.5
    latest = np.searchsorted(song.beats, max(end - seconds, song.beats[0] + 0.01))
    downs = song.downbeats[song.downbeats <= latest]
    if change:  # the change is to be heard
        near = downs[np.abs(song.beats[downs] + seconds / 2 - song.beats[edits["tempo_change"][0]]) < seconds / 4]
        downs = near if len(near) else downs
    first = int(rng.choice(downs)) if len(downs) and rng.random() > 0.15 else 0
    start = song.beats[first] - rng.uniform(0.02, 0.9)
    if first == 0:
        start = min(song.beats[0], song.piano[:, 0].min(initial=np.inf)) - rng.uniform(0.05, 1.5)
    duration = min(seconds, end - start)
    before = max(0, first - int(song.bar_lengths[first]))
    after = min(len(song.beats), int(np.searchsorted(song.beats, start + duration)) + 4)
    edits["beats_per_minute"] = round(60.0 / float(np.median(np.diff(song.beats[first:after]))), 2)
    return Excerpt(name or song.name, moved(part(song, before, after), -float(start)), float(duration), edits)


# -- playing ------------------------------------------------------------------------------------------------------


def play_stems(stems: Sequence[Stem]) -> list[np.ndarray]:
    """Sound of each stem, (2, n) float32 at 22 050 Hz; one call of FluidSynth for each SoundFont.

    Raises MissingExtraError where there is no FluidSynth.
    """
    if shutil.which("fluidsynth") is None:
        raise MissingExtraError("the fluidsynth program", extra="train", purpose="making recordings of bands")
    sounds: list[np.ndarray] = [np.zeros((2, 0), dtype=np.float32)] * len(stems)
    for soundfont in dict.fromkeys(stem.soundfont for stem in stems):
        chosen = [i for i, stem in enumerate(stems) if stem.soundfont == soundfont]
        for i, sound in zip(chosen, _play([stems[i] for i in chosen]), strict=True):
            sounds[i] = sound
    return sounds


def _play(stems: Sequence[Stem]) -> list[np.ndarray]:
    import soundfile
    import soxr

    before = [max(0.0, -float(stem.notes.onset.min())) if len(stem.notes) else 0.0 for stem in stems]
    lengths = [b + stem.duration + 2 * GAP for b, stem in zip(before, stems, strict=True)]
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) + GAP + np.array(before)
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "session.mid"), Path(folder, "session.wav")
        midi.write_bytes(_session(stems, starts, before))
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RENDER_RATE)]
        command += [
            "-o",
            "synth.dynamic-sample-loading=1",
        ]  # only the instruments that play: compressed ones load slowly
        command += ["-O", "float", "-T", "wav", "-F", str(wav), str(stems[0].soundfont), str(midi)]
        subprocess.run(command, check=True, capture_output=True)
        sounds = []
        with soundfile.SoundFile(wav) as file:
            for start, stem in zip(starts, stems, strict=True):
                file.seek(round((start + LATENCY) * RENDER_RATE))
                sound = file.read(round(stem.duration * RENDER_RATE), dtype="float32", always_2d=True)
                sound = soxr.resample(sound, RENDER_RATE, RATE)
                n = round(stem.duration * RATE)
                sounds.append(np.pad(sound[:n], ((0, max(0, n - len(sound))), (0, 0))).T)
    return sounds


def _session(stems: Sequence[Stem], starts: np.ndarray, before: Sequence[float]) -> bytes:
    """A MIDI file of all stems one after the other, each with programs, controls and bends of its own."""
    columns = []  # rank at equal ticks, tick, status, data1, data2
    for stem, start, lead_in in zip(stems, starts, before, strict=True):
        opening = round((start - lead_in - GAP / 3) * TICKS)
        closing = round((start + stem.duration + GAP / 3) * TICKS)
        free = iter(c for c in range(16) if c != DRUM_CHANNEL)
        array = stem.notes.array
        for i, track in enumerate(stem.notes.tracks):
            channel = DRUM_CHANNEL if track.is_drum else next(free)
            notes = array[(array["track"] == i) & (array["onset"] < stem.duration)]
            on = np.rint((notes["onset"] + start) * TICKS)
            off = np.minimum(np.rint((notes["offset"] + start) * TICKS), closing - 1)
            inside = track.bends[(track.bends["time"] > -lead_in) & (track.bends["time"] < stem.duration)]
            first = track.bends[:1] if len(inside) == 0 else inside[:0]  # the tuning of a track that never moves
            moves = np.concatenate([first, inside])
            at = np.maximum(np.rint((moves["time"] + start) * TICKS), opening + 2)
            bend = np.clip(moves["value"].astype(np.int64) + 8192, 0, 16383)
            number, value = track.controls["number"], track.controls["value"]
            columns += [
                (0, [opening, opening], CONTROL | channel, [RESET, 11], [0, 127]),
                (0, [opening], BEND | channel, [0], [64]),
                (1, [opening], PROGRAM | channel, [track.program], [0]),
                (2, np.full(len(number), opening), CONTROL | channel, number, np.clip(value, 0, 127)),
                (3, at, BEND | channel, bend & 127, bend >> 7),
                (4, off, OFF | channel, notes["pitch"], np.full(len(notes), 64)),
                (5, on, ON | channel, notes["pitch"], np.clip(notes["velocity"], 1, 127)),
                (6, [closing], CONTROL | channel, [ALL_SOUND_OFF], [0]),
            ]
    rank = np.concatenate([np.full(len(c[1]), c[0]) for c in columns])
    messages = np.zeros(len(rank), dtype=smf.MESSAGE_DTYPE)
    messages["tick"] = np.concatenate([np.asarray(c[1], dtype=np.int64) for c in columns])
    messages["status"] = np.concatenate([np.full(len(c[1]), c[2]) for c in columns])
    for field, column in (("data1", 3), ("data2", 4)):
        messages[field] = np.concatenate([np.asarray(c[column], dtype=np.int64) for c in columns])
    messages = messages[np.lexsort((rank, messages["tick"]))]
    tempo = (0, 0x51, (1_000_000).to_bytes(3, "big"))  # a quarter note is a second
    return smf.build(TICKS, [smf.chunk_bytes(messages, [tempo])])


def _tracks(orchestration: Orchestration, roles: Sequence[str]) -> Notes:
    """The tracks of some roles, as a `Notes` of its own."""
    picked = [i for i, role in enumerate(orchestration.roles) if role in roles]
    array = orchestration.notes.array
    array = array[np.isin(array["track"], picked)].copy()
    array["track"] = np.searchsorted(picked, array["track"])
    tracks = tuple(orchestration.notes.tracks[i] for i in picked)
    return replace(orchestration.notes, array=array, tracks=tracks)


STEMS = {
    "lead": ("lead",),
    "drums": ("drums",),
    "rest": ("harmony", "double", "bridge", "bass", "comp", "second", "pad"),
}


def _stems_of(excerpt: Excerpt, band: Orchestration, soundfonts: Sequence[Path], rng) -> dict[str, Stem]:
    """The stems of one excerpt; in a third of the bands one of them comes from another SoundFont."""
    main = soundfonts[rng.integers(len(soundfonts))]
    guest = soundfonts[rng.integers(len(soundfonts))] if rng.random() < 0.6 else main
    visitor = str(rng.choice(["lead", "drums"]))
    stems = {}
    for name, roles in STEMS.items():
        notes = _tracks(band, roles)
        if len(notes):
            stems[name] = Stem(notes, guest if name == visitor else main, excerpt.duration)
    return stems


def render_stems(
    excerpts: Sequence[Excerpt], soundfonts: Sequence[Path], seed, *, split: str = "test"
) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Of each excerpt the sounds {"vocals", "accompaniment"} ((2, n) float32, 22 050 Hz) and its labels.

    The two sounds add up to the mix, which peaks below full scale. Bands without a lead give silent vocals.
    """
    checked = _checked_soundfonts(soundfonts, split)
    results = []
    for excerpt, band, stems, rng in _rendered(excerpts, checked, seed, split):
        results.append((mix_stems(stems, rng), labels_of(excerpt.song, excerpt.duration, octave=band.octave)))
    return results


def _rendered(excerpts, soundfonts, seed, split):
    """(excerpt, orchestration, sounds by stem, random generator) of each excerpt, rendered together."""
    key = [seed] if isinstance(seed, int) else list(seed)
    jobs = []
    for excerpt in excerpts:
        own = [*key, *excerpt.name.encode()]
        band = orchestrate(excerpt.song, [*own, 1], split=split)
        rng = np.random.default_rng([*own, 2])
        jobs.append((excerpt, band, _stems_of(excerpt, band, soundfonts, rng), rng))
    sounds = iter(play_stems([stem for _, _, stems, _ in jobs for stem in stems.values()]))
    for excerpt, band, stems, rng in jobs:
        band.plan["soundfonts"] = {name: stem.soundfont.stem for name, stem in stems.items()}
        played = {name: next(sounds) for name in stems}
        if "voice" in band.roles:
            notes = _tracks(band, ("voice",)).array
            melody = np.column_stack([notes[field] for field in ("onset", "offset", "pitch", "velocity")])
            played["lead"] = np.tile(sing(melody, excerpt.duration, rng, split=split), (2, 1))
        yield excerpt, band, played, rng


def _checked_soundfonts(soundfonts: Sequence[Path], split: str) -> list[Path]:
    """The files themselves. Raises ParameterError when a test SoundFont is to be heard in training, or the reverse."""
    paths = [Path(path) for path in soundfonts]
    wrong = [path.name for path in paths if (path.resolve().stem in TEST_SOUNDFONTS) != (split == "test")]
    if wrong or not paths:
        test = ", ".join(TEST_SOUNDFONTS)
        raise ParameterError(
            f"{', '.join(wrong) or 'no SoundFont'} cannot serve the {split} split: {test} is for test, others for "
            "training and validation, so that no test timbre is heard in training"
        )
    return paths


def make_bands(
    pop909: Path,
    store: Path,
    *,
    split: str,
    soundfonts: Sequence[Path],
    excerpts: int | None = None,
    seconds: float = 72.0,
    seed: int = 0,
    report: Report = print,
) -> int:
    """Render excerpts of the songs of one split into `store/<split>/`, songs in random order; returns how many.

    `excerpts` None: one of every song; more than there are songs: further excerpts of each. What is there already is
    not rendered again, so an interrupted run goes on. Songs whose notes do not lie on their beats are left out.
    """
    paths = _checked_soundfonts(soundfonts, split)
    songs = []
    for folder in list_songs(pop909, split=split):
        song = read_song(folder)
        late, share = agreement(song)
        if agrees(song):
            songs.append(song)
        else:
            text = f"its notes lie {1000 * late:+.0f} ms from its beats, {share:.0%} of them far away"
            report(f"{song.name} is left out: {text}")
    order = np.random.default_rng(seed).permutation(len(songs))
    count = len(songs) if excerpts is None else excerpts
    jobs = [(songs[order[i % len(songs)]], i // len(songs)) for i in range(count)]
    folder = Path(store, split)
    waiting = [(s, v) for s, v in jobs if not (folder / f"{s.name}-{v}.npz").exists()]
    for at in range(0, len(waiting), BATCH):
        batch = [
            excerpt_of(song, [seed, int(song.name), version], seconds=seconds, name=f"{song.name}-{version}")
            for song, version in waiting[at : at + BATCH]
        ]
        for excerpt, band, stems, rng in _rendered(batch, paths, seed, split):
            sound, mixing = mix_down(stems, rng)
            meta = {"seed": seed, "split": split, **excerpt.edits, **band.plan, "mix": mixing}
            save_band(
                folder, excerpt.name, sound, labels_of(excerpt.song, excerpt.duration, octave=band.octave), _plain(meta)
            )
        report(f"{len(jobs) - len(waiting) + at + len(batch)} of {len(jobs)} excerpts of {split}")
    return len(jobs)


def _plain(meta: dict) -> dict:
    """`meta` without numpy numbers."""
    return json.loads(json.dumps(meta, default=lambda value: value.item()))
