"""`Analysis`: what is known of a recorded song before anything is arranged.

Job
    Hold beats, chords, key, melody, loudness and tuning of one recording; write them as a text that a musician can
    correct by hand and read the corrected text back; exchange beats and chords with Sonic Visualiser.

The files
    `song_analysis.json` has one beat, one chord and one melody note a line. Beats are `[seconds, number in the bar]`,
    1 being the downbeat; a time signature holds from the downbeat at or before its time. `.lab` has `start end name` a
    line, `.beats` has `seconds number`, as mir_eval, madmom and Sonic Visualiser write them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spartito.analysis.beats import Beats
from spartito.analysis.harte import NO_CHORD, absolute, chord_table
from spartito.analysis.metre import beat_length
from spartito.errors import NotesError, ParameterError
from spartito.files import atomic_path

__all__ = [
    "LOUDNESS_HOP",
    "SCHEMA_VERSION",
    "Analysis",
    "Chord",
    "beats_of",
    "contiguous",
    "read_beats",
    "read_lab",
    "read_pitch",
]

SCHEMA_VERSION = 1
LOUDNESS_HOP = 0.1  # s between values of the loudness
SEAM = 0.05  # s: chords that meet within this are taken to meet


@dataclass(frozen=True)
class Chord:
    """A harmony from `start` to `end` (seconds); `label` in Harte's notation ("C:maj7", "A:min", "N")."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, eq=False)
class Analysis:
    """A song as it is understood.

    Attributes
    ----------
    duration : float, seconds of the recording
    beats : Beats
        The metre may change: `beats.signatures`.
    chords : tuple of Chord
        One after the other without gaps, from 0 to `duration`.
    key : str
        "C:maj", "A:min"; "" when unknown.
    melody : np.ndarray, shape=(n, 3)
        Onset s, offset s, MIDI pitch of the leading voice.
    loudness : np.ndarray, shape=(m,), dB
        One value every `LOUDNESS_HOP` seconds.
    tuning : float, cents above A = 440 Hz
    steady : bool
        No beats were found and an even grid stands in for them.
    engine : str
        Who found the beats: "spartito", "beat-this", "madmom", "given" or "steady".
    warnings : tuple of str
        What a reader should know, in whole sentences.
    """

    duration: float
    beats: Beats
    chords: tuple[Chord, ...] = ()
    key: str = ""
    melody: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    loudness: np.ndarray = field(default_factory=lambda: np.zeros(0))
    tuning: float = 0.0
    steady: bool = False
    engine: str = "spartito"
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        melody = np.asarray(self.melody, dtype=np.float64).reshape(-1, 3)
        loudness = np.asarray(self.loudness, dtype=np.float64).reshape(-1)
        if not (np.isfinite(self.duration) and self.duration > 0):
            raise ParameterError(f"the duration of a song is a positive number of seconds, not {self.duration}")
        if len(melody) and not (np.isfinite(melody).all() and (melody[:, 1] > melody[:, 0]).all()):
            raise ParameterError("every note of the melody must end after it begins")
        if self.key:
            absolute(self.key)
        object.__setattr__(self, "melody", melody)
        object.__setattr__(self, "loudness", loudness)
        object.__setattr__(self, "chords", contiguous(self.chords, self.duration))
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @property
    def downbeats(self) -> np.ndarray:
        """(bars,) seconds."""
        return self.beats.downbeats

    @property
    def lead_in(self) -> float:
        """Seconds before the first downbeat."""
        return float(self.downbeats[0])

    @property
    def tempo(self) -> float:
        """Typical tempo, beats a minute."""
        return float(60.0 / np.median(np.diff(self.beats.times)))

    def chord_at(self, seconds) -> np.ndarray:
        """Index of the chord that sounds at each of the times; -1 when there are no chords."""
        if not self.chords:
            return np.full(np.shape(seconds), -1)
        starts = np.array([chord.start for chord in self.chords])
        return np.maximum(np.searchsorted(starts, seconds, side="right") - 1, 0)

    def chord_rows(self) -> np.ndarray:
        """(beats, 14) int: root, 12 bits of the sounding pitch classes, bass; root and bass are -1 without chord.

        A beat has the chord that sounds in its middle: a change is moved to the nearest beat.
        """
        # before the first chord the first holds, after the last the last
        starts = np.array([chord.start for chord in self.chords])
        edges = np.concatenate([[-np.inf], starts[1:], [np.inf]]) if len(starts) else np.zeros(1)
        return chord_table(self.beats.times, edges[:-1], edges[1:], [chord.label for chord in self.chords])

    # -- files ------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike) -> None:
        """Write everything as JSON that can be read, corrected and loaded again."""
        numbers = [f"[{t:.4f}, {p + 1}]" for t, p in zip(self.beats.times, self.beats.positions)]
        metres = [
            f"[{self.beats.times[beat]:.4f}, {json.dumps(f'{numerator}/{denominator}')}]"
            for beat, numerator, denominator in self.beats.signatures
        ]
        chords = [f"[{c.start:.3f}, {c.end:.3f}, {json.dumps(c.label)}]" for c in self.chords]
        notes = [f"[{on:.3f}, {off:.3f}, {pitch:g}]" for on, off, pitch in self.melody]
        entries = {
            "schema_version": str(SCHEMA_VERSION),
            "help": json.dumps(
                "Times are seconds. beats: [time, number in the bar], 1 = downbeat. time_signatures: [from, signature]."
                " chords: [start, end, name]. melody: [start, end, MIDI pitch]."
            ),
            "duration": f"{self.duration:.4f}",
            "tempo": f"{self.tempo:.2f}",
            "key": json.dumps(self.key),
            "tuning_cents": f"{self.tuning:.1f}",
            "steady": json.dumps(bool(self.steady)),
            "engine": json.dumps(self.engine),
            "warnings": json.dumps(list(self.warnings), ensure_ascii=False),
            "time_signatures": _rows(metres),
            "beats": _rows(numbers),
            "chords": _rows(chords),
            "melody": _rows(notes),
            "loudness_db": "[" + ", ".join(f"{value:.1f}" for value in self.loudness) + "]",
        }
        text = ",\n".join(f'  "{name}": {value}' for name, value in entries.items())
        with atomic_path(path) as temporary:
            temporary.write_text("{\n" + text + "\n}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Analysis:
        """Read what `save` wrote, corrections by hand included.

        Raises NotesError, naming the place, when the text is damaged or contradicts itself.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise NotesError(f"{path} cannot be read: {error.strerror or error}") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise NotesError(f"{path} is not a song analysis: {error}") from error
        try:
            return cls._from_content(content)
        except (ParameterError, NotesError) as error:
            raise NotesError(f"{path}: {error}") from error

    @classmethod
    def _from_content(cls, content) -> Analysis:
        if not isinstance(content, dict) or "beats" not in content or "duration" not in content:
            raise NotesError("this is not a song analysis: it needs at least duration and beats")
        version = content.get("schema_version", 0)
        if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
            raise NotesError(f"schema_version is {version!r}; this spartito reads 1 to {SCHEMA_VERSION}")
        duration = _number(content["duration"], "duration")
        rows = [_row(row, 2, f"beat {i + 1}") for i, row in enumerate(_list(content, "beats"))]
        times = np.array([_number(row[0], f"the time of beat {i + 1}") for i, row in enumerate(rows)])
        numbers = np.array([_number(row[1], f"the number of beat {i + 1}") for i, row in enumerate(rows)])
        marks = []
        for i, row in enumerate(_list(content, "time_signatures")):
            start, name = _row(row, 2, f"time signature {i + 1}")
            marks.append((_number(start, f"the start of time signature {i + 1}"), _signature(name)))
        chords = []
        for i, row in enumerate(_list(content, "chords")):
            start, end, label = _row(row, 3, f"chord {i + 1}")
            place = f"chord {i + 1}"
            chords.append(Chord(_number(start, place), _number(end, place), str(label)))
        melody = [
            [_number(value, f"melody note {i + 1}") for value in _row(row, 3, f"melody note {i + 1}")]
            for i, row in enumerate(_list(content, "melody"))
        ]
        return cls(
            duration=duration,
            beats=beats_of(times, numbers - 1, marks=marks),
            chords=tuple(chords),
            key=str(content.get("key", "")),
            melody=np.array(melody, dtype=np.float64).reshape(-1, 3),
            loudness=np.array([_number(v, "loudness") for v in _list(content, "loudness_db")]),
            tuning=_number(content.get("tuning_cents", 0.0), "tuning_cents"),
            steady=bool(content.get("steady", False)),
            engine=str(content.get("engine", "given")),
            warnings=tuple(str(text) for text in _list(content, "warnings")),
        )

    def to_lab(self, path: str | os.PathLike) -> None:
        """Write the chords for Sonic Visualiser: start, end, name, separated by tabs."""
        lines = [f"{c.start:.6f}\t{c.end:.6f}\t{c.label}\n" for c in self.chords]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    def to_beats(self, path: str | os.PathLike) -> None:
        """Write the beats for Sonic Visualiser: time and number in the bar (1 = downbeat), separated by tabs."""
        lines = [f"{t:.6f}\t{p + 1}\n" for t, p in zip(self.beats.times, self.beats.positions)]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def _rows(lines: list[str]) -> str:
    return "[\n    " + ",\n    ".join(lines) + "\n  ]" if lines else "[]"


def _number(value, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise NotesError(f"{what} should be a number, not {value!r}")
    return float(value)


def _list(content: dict, name: str) -> list:
    value = content.get(name, [])
    if not isinstance(value, list):
        raise NotesError(f"{name} should be a list in [ ], not {value!r}")
    return value


def _row(row, length: int, what: str) -> list:
    if not isinstance(row, list) or len(row) != length:
        raise NotesError(f"{what} should have {length} entries, not {row!r}")
    return row


def _signature(name) -> tuple[int, int]:
    parts = str(name).split("/")
    if len(parts) != 2 or not all(p.strip().isdigit() for p in parts):
        raise NotesError(f"a time signature is written like 3/4, not {name!r}")
    numerator, denominator = (int(p) for p in parts)
    if not 1 <= numerator <= 32 or denominator not in (1, 2, 4, 8, 16, 32):
        raise NotesError(f"{name!r} is not a time signature that can be written: take one like 3/4 or 6/8")
    return numerator, denominator


# -- beats and chords from elsewhere --------------------------------------------------------------------------


def beats_of(times, positions, *, marks=()) -> Beats:
    """`Beats` of beat times (n,) seconds and places in the bar (n,), 0 = downbeat.

    Parameters
    ----------
    marks : list of (seconds, (numerator, denominator)), optional
        Time signatures; without any they follow from the bars: as many quarters as a bar has beats.

    Raises
    ------
    ParameterError
        Beats that do not rise, no downbeat, fewer than two beats: the message names the first that is wrong.
    """
    times = np.asarray(times, dtype=np.float64)
    positions = np.asarray(positions)
    if len(times) < 2:
        raise ParameterError(f"at least two beats are needed, not {len(times)}")
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if len(backwards):
        i = int(backwards[0])
        raise ParameterError(
            f"beat {i + 2} ({times[i + 1]:.3f} s) must come after beat {i + 1} ({times[i]:.3f} s): put them in order"
        )
    if (positions != np.round(positions)).any() or (positions < 0).any():
        i = int(np.flatnonzero((positions != np.round(positions)) | (positions < 0))[0])
        raise ParameterError(f"beat {i + 1} ({times[i]:.3f} s): its number in the bar should be 1, 2, 3 ...")
    positions = positions.astype(np.int64)
    down = np.flatnonzero(positions == 0)
    if len(down) == 0:
        raise ParameterError("no beat is number 1: mark at least one downbeat")
    if marks:
        signatures = {}
        for start, (numerator, denominator) in sorted(marks):
            before = down[times[down] <= start + SEAM]
            signatures[int(before[-1]) if len(before) else 0] = (int(numerator), int(denominator))
        first = signatures.pop(min(signatures))
        signatures = ((0, *first), *((beat, *value) for beat, value in sorted(signatures.items())))
    else:
        signatures = _bars_as_signatures(positions, down)
    starts = np.array([beat for beat, _, _ in signatures])
    lengths = np.array([beat_length(n, d) for _, n, d in signatures])  # quarters per beat
    steps = lengths[np.searchsorted(starts, np.arange(len(times)), side="right") - 1]
    quarters = np.concatenate([[0.0], np.cumsum(steps[:-1])])
    return Beats(times, quarters - quarters[down[0]], positions, tuple(signatures))


def _bars_as_signatures(positions: np.ndarray, down: np.ndarray) -> tuple[tuple[int, int, int], ...]:
    """Time signatures from the lengths of the bars; one odd bar alone is no change of metre."""
    sizes = np.diff(down)
    if len(sizes) and len(positions) - down[-1] == sizes[-1]:  # the last bar may be cut short, but here it is not
        sizes = np.append(sizes, sizes[-1])
    if len(sizes) == 0:
        return ((0, max(2, int(positions.max()) + 1), 4),)
    usual = int(np.bincount(sizes).argmax())
    signatures = [(0, usual, 4)]
    runs = np.flatnonzero(np.concatenate([[True], np.diff(sizes) != 0]))
    for begin, end in zip(runs, np.append(runs[1:], len(sizes))):
        size = int(sizes[begin])
        if size == signatures[-1][1] or (end - begin < 2 and size != usual):
            continue
        beat = 0 if begin == 0 else int(down[begin])
        if beat == 0:
            signatures = [(0, size, 4)]
        else:
            signatures.append((beat, size, 4))
    return tuple(signatures)


def contiguous(chords, duration: float) -> tuple[Chord, ...]:
    """The chords in order, from 0 to `duration`: gaps become `N`, where two overlap the later one wins.

    Raises ParameterError for a name that is no chord or an end before its start.
    """
    ordered = sorted(chords, key=lambda chord: chord.start)
    for i, chord in enumerate(ordered):
        absolute(chord.label)
        if not chord.end >= chord.start:
            raise ParameterError(f"chord {i + 1} ({chord.label}) ends at {chord.end} s, before it starts")
    out: list[Chord] = []

    def put(start: float, end: float, label: str):
        start, end = max(start, 0.0), min(end, duration)
        if end - start <= 1e-6:
            return
        if out and out[-1].label == label == NO_CHORD:
            start = out.pop().start
        out.append(Chord(start, end, label))

    now = 0.0
    for i, chord in enumerate(ordered):
        following = ordered[i + 1].start if i + 1 < len(ordered) else duration
        start = now if chord.start - now <= SEAM else chord.start
        end = following if abs(following - chord.end) <= SEAM else min(chord.end, following)
        if start > now:
            put(now, start, NO_CHORD)
        put(start, end, chord.label)
        now = max(now, end)
    if now < duration:
        put(now, duration, NO_CHORD)
    return tuple(out)


def _lines(path: str | os.PathLike) -> list[tuple[int, list[str]]]:
    """Number and fields of every line that is neither empty nor a comment."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotesError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise NotesError(f"{path} is not a text file") from error
    lines = [(i + 1, line.replace(",", " ").split()) for i, line in enumerate(text.splitlines())]
    return [(i, fields) for i, fields in lines if fields and not fields[0].startswith(("#", ";", "%"))]


def read_beats(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Times (n,) in seconds and places in the bar (n,), 0 = downbeat; None when the file has times only.

    Reads `time`, `time number`, `time bar.number` and `time b` or `db` a line.
    """
    times, labels = [], []
    for number, fields in _lines(path):
        try:
            times.append(float(fields[0]))
        except ValueError as error:
            raise NotesError(f"{path}, line {number}: {fields[0]!r} is not a time in seconds") from error
        labels.append(fields[1] if len(fields) > 1 else "")
    if len(times) < 2:
        raise NotesError(f"{path} holds {len(times)} beats; at least two are needed")
    if not all(labels):
        return np.array(times), None
    if all(label.lower() in ("b", "db") for label in labels):
        down = np.array([label.lower() == "db" for label in labels])
        if not down.any():
            return np.array(times), None
        place = np.arange(len(down))
        last = np.maximum.accumulate(np.where(down, place, -1))
        size = int(np.median(np.diff(place[down]))) if down.sum() > 1 else 4
        return np.array(times), np.where(last >= 0, place - last, (place - place[down][0]) % size)
    if any("." in label and label.split(".")[1].strip("0") for label in labels):
        labels = [label.split(".")[1] for label in labels]
    try:
        places = np.array([int(float(label)) - 1 for label in labels])
    except (ValueError, IndexError) as error:
        raise NotesError(f"{path}: the second column should be the number in the bar: 1, 2, 3 ...") from error
    return np.array(times), places


def read_lab(path: str | os.PathLike) -> tuple[Chord, ...]:
    """Chords of a `.lab` file: start, end, name a line."""
    chords = []
    for number, fields in _lines(path):
        try:
            start, end, label = float(fields[0]), float(fields[1]), fields[2]
            absolute(label)
        except (ValueError, IndexError) as error:
            why = str(error) if isinstance(error, ParameterError) else "a line is: start, end, chord name"
            raise NotesError(f"{path}, line {number}: {why}") from error
        chords.append(Chord(start, end, label))
    if not chords:
        raise NotesError(f"{path} holds no chords")
    return tuple(chords)


def read_pitch(path: str | os.PathLike) -> np.ndarray:
    """(n, 2) seconds and hertz of a pitch curve: a line of both per sample; nothing, 0, a negative number: no voice."""
    rows = []
    for number, fields in _lines(path):
        try:
            rows.append((float(fields[0]), float(fields[1]) if len(fields) > 1 else 0.0))
        except ValueError as error:
            raise NotesError(f"{path}, line {number}: a line is: seconds, hertz") from error
    if not rows or (np.diff(np.array(rows)[:, 0]) <= 0).any():
        raise NotesError(f"{path} is no pitch curve: times that rise and hertz, a line each")
    return np.array(rows)
