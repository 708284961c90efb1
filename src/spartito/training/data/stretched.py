"""Real recordings for the published recipe of A2S: stretched audio beside quantised songs of POP909.

`<id>.wav` (22,050 Hz mono, the accompaniment stretched to 13,312 samples a beat, see `analysis/stretch.py`) with
`<id>.pickle` (number of each beat in it), and `<id>.npz` (`pop909.save_quantised`). Examples are the windows of eight
beats from complete downbeats: this bar and the next have four beats. The target is BRIDGE and PIANO, never the melody.
One transposition per batch moves the notes, the chords and, without its tempo, the sound.

`compat` keeps what the published program does: bridge notes before piano notes in a step, features of the notes before
the transposition, chords of transposed beats without root modulo twelve. Recordings are not part of POP909.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spartito.errors import AudioError, ParameterError
from spartito.models.arranger_input import BEATS, chord_bits
from spartito.models.arranger_mel import (
    AUDIO_RATE,
    BEAT_SAMPLES,
    PREROLL_SAMPLES,
    SEGMENT_SAMPLES,
    SHIFT_RATES,
    log_mel,
)
from spartito.models.pianotree import PITCHES, encode, features, piano_roll
from spartito.training.arranger import SHIFT_ODDS, SHIFTS, ArrangerRecipe, loss, masked
from spartito.training.data.arrangements import read_beat_places, read_quantised
from spartito.training.data.splits import TEST, VALIDATION

__all__ = ["StretchedSong", "open_songs", "paper_batches", "paper_validation"]

PROMPT_BEATS = 4  # the window before begins so much earlier
CHECKED = 256  # segments of the validation


@dataclass(frozen=True, eq=False)
class StretchedSong:
    """A recording and its song; `starts` (n,) are the beats of its segments, `places` their numbers in the audio."""

    wave: Path
    song: dict[str, np.ndarray]
    starts: np.ndarray
    places: np.ndarray

    def audio(self, number: int) -> np.ndarray:
        """(107496,) float32: eight beats of segment `number` after the pre-roll; silence outside the file."""
        import soundfile

        first = int(self.places[number]) * BEAT_SAMPLES - PREROLL_SAMPLES
        samples = np.zeros(SEGMENT_SAMPLES, dtype=np.float32)
        with soundfile.SoundFile(self.wave) as file:
            if file.samplerate != AUDIO_RATE or file.channels != 1:
                raise AudioError(f"{self.wave} must be mono at {AUDIO_RATE} Hz")
            begin, end = max(0, first), min(file.frames, first + SEGMENT_SAMPLES)
            if end > begin:
                file.seek(begin)
                samples[begin - first : end - first] = file.read(end - begin, dtype="float32")
        return samples

    def notes(self, track: str, start: int, segment: int) -> np.ndarray:
        """(k, 4) notes of a track within eight beats from `start`: segment, step, pitch, duration; in file order."""
        q = self.song[track].reshape(-1, 5)
        inside = q[(q[:, 0] >= start) & (q[:, 0] < start + BEATS)]
        step = 4 * (inside[:, 0] - start) + inside[:, 1]
        return np.column_stack([np.full(len(inside), segment), step, inside[:, 3], inside[:, 2]])


def open_songs(audio: Path, quantised: Path) -> dict[str, list[StretchedSong]]:
    """The songs there is audio for, by split (number 7 of ten tests, 8 validates)."""
    songs: dict[str, list[StretchedSong]] = {"train": [], "validation": [], "test": []}
    for path in sorted(Path(quantised).glob("*.npz")):
        wave = Path(audio, f"{path.stem}.wav")
        if not wave.exists() or not path.stem.isdigit():
            continue
        song, places = read_quantised(path), read_beat_places(wave.with_suffix(".pickle"))
        starts = song["db_pos"][song["db_pos_filter"].astype(bool)].astype(np.int64)
        starts = starts[[float(song["beat_positions"][start]) in places for start in starts]]
        here = np.array([places[float(song["beat_positions"][start])] for start in starts], dtype=np.int64)
        split = {TEST: "test", VALIDATION: "validation"}.get(int(path.stem) % 10, "train")
        if len(starts):
            songs[split].append(StretchedSong(wave, song, starts, here))
    if not songs["train"]:
        raise ParameterError(f"no song has both a recording in {audio} and a table in {quantised}")
    return songs


def paper_batches(songs: Sequence[StretchedSong], recipe: ArrangerRecipe) -> Callable[[int], dict[str, Tensor]]:
    """`batch_at(index)` for the loop; one transposition per batch."""
    there = [(song, number) for song in songs for number in range(len(song.starts))]

    def batch_at(index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([recipe.loop.seed, index])
        shift = int(rng.choice(SHIFTS, p=SHIFT_ODDS))
        chosen = [there[i] for i in rng.integers(0, len(there), recipe.batch)]
        batch = examples(chosen, recipe, shift=shift, rng=rng)
        batch["step"] = torch.tensor(index // recipe.loop.accumulate)
        return batch

    return batch_at


def examples(
    chosen: Sequence[tuple[StretchedSong, int]],
    recipe: ArrangerRecipe,
    *,
    shift: int = 0,
    rng: np.random.Generator | None = None,
) -> dict[str, Tensor]:
    """Segments as a batch: `frames` (B, 229, T) log-mel, `chords`, `truth`, `roll`, `features` as in `arranger.py`."""
    if shift not in SHIFT_RATES:
        raise ParameterError(f"the sound is moved by {min(SHIFT_RATES)} .. {max(SHIFT_RATES)} semitones, not {shift}")
    count, compat = len(chosen), recipe.compat
    bridge = np.concatenate([song.notes("bridge", song.starts[n], i) for i, (song, n) in enumerate(chosen)])
    piano = np.concatenate([song.notes("piano", song.starts[n], i) for i, (song, n) in enumerate(chosen)])
    target = np.concatenate([_moved(bridge, shift), _moved(piano, shift)])
    if recipe.stage == "3b":
        before = [_before(song, n, i) for i, (song, n) in enumerate(chosen)]
        roll = piano_roll(_moved(np.concatenate(before), shift), count)
    else:
        roll = piano_roll(_moved(piano, shift), count)
        if recipe.stage == "2" and rng is not None:
            roll = masked(roll, rng, compat=compat).astype(np.float32)
    heard = 0 if compat else shift
    mel = log_mel(torch.from_numpy(np.stack([song.audio(n) for song, n in chosen])), shift=shift)
    return {
        "frames": mel,
        "chords": torch.from_numpy(np.stack([_chords(song, n, shift, compat=compat) for song, n in chosen])),
        "truth": torch.from_numpy(encode(target, count, compat=compat)),
        "roll": torch.from_numpy(roll),
        "features": torch.from_numpy(features(_moved(piano, heard), _moved(bridge, heard), count)),
    }


def paper_validation(songs: Sequence[StretchedSong], recipe: ArrangerRecipe) -> Callable[[nn.Module], dict] | None:
    """The loss on fixed segments as at the end of the stage; None without songs."""
    there = [(song, number) for song in songs for number in range(len(song.starts))]
    if not there:
        return None
    spread = np.linspace(0, len(there) - 1, min(CHECKED, len(there))).astype(np.int64)
    chosen, terms = [there[i] for i in spread], loss(recipe)

    def validate(network: nn.Module) -> dict[str, float]:
        device, sums = next(network.parameters()).device, {}
        for first in range(0, len(chosen), recipe.batch):
            part = chosen[first : first + recipe.batch]
            batch = examples(part, recipe, rng=np.random.default_rng(first))
            batch["step"] = torch.tensor(recipe.loop.steps)
            found = terms(network, {name: value.to(device) for name, value in batch.items()})
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(chosen)
        return sums | {"loss": sum(sums.values())}

    return validate


def _before(song: StretchedSong, number: int, segment: int) -> np.ndarray:
    """The target of the window four beats earlier, if a complete downbeat lies there; else no notes."""
    start = int(song.starts[number]) - PROMPT_BEATS
    if number == 0 or song.starts[number - 1] != start:
        return np.zeros((0, 4), dtype=np.int64)
    return np.concatenate([song.notes(track, start, segment) for track in ("bridge", "piano")])


def _moved(notes: np.ndarray, shift: int) -> np.ndarray:
    """Notes up by `shift` semitones; those that leave MIDI's range are left out."""
    moved = notes + np.array([0, 0, shift, 0])
    return moved[(moved[:, 2] >= 0) & (moved[:, 2] < PITCHES)]


def _chords(song: StretchedSong, number: int, shift: int, *, compat: bool) -> np.ndarray:
    """(8, 36) float32, transposed."""
    start = int(song.starts[number])
    rows = song.song["chord_lookup"][start : start + BEATS].astype(np.int64)
    missing = np.zeros((BEATS - len(rows), 14), dtype=np.int64)
    if not compat:
        missing[:, [0, 13]] = -1
    rows = np.concatenate([rows, missing])
    there = np.ones(BEATS, dtype=bool) if compat else rows[:, 0] >= 0
    moved = rows.copy()
    moved[there, 0] = (rows[there, 0] + shift) % 12
    moved[there, 1:13] = np.roll(rows[there, 1:13], shift, axis=1)
    moved[there, 13] = (rows[there, 13] + shift) % 12
    moved[~there] = np.array([-1] + 12 * [0] + [-1])
    return chord_bits(moved, compat=compat)
