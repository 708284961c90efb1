"""Makes the example recording: the opening of a piano piece, performed by rule and rendered.

The piece is the first sixteen bars of Erik Satie's Gymnopédie No. 1 (Paris, 1888; in the public domain), written
out below note by note. `perform` plays it as a pianist might: a tempo that breathes with the phrases and slows
down at the end, swelling and fading lines, the melody above the accompaniment and a little ahead of it, chords
not quite together, and a pedal changed in every bar. All chance comes from one seed, so that the performance is
always the same.

    python examples/make_piano_example.py [folder]

writes piano.ogg, the recording, and piano_reference.mid, the notes that were played: the truth against which
its transcription can be measured. The tempo map of the MIDI file follows the performance beat by beat.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from spartito.audio.io import save_audio
from spartito.notes.midi import write_midi
from spartito.notes.notes import Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature
from spartito.render.soundfont import SoundFontError, find_soundfont
from spartito.render.synthesize import synthesize

SEED = 1888
BARS, BEATS = 16, 3
RATE = 24000  # hertz
SOUNDFONT = "FluidR3_GM"  # what piano.ogg is rendered with; the default one when it is not there

# The melody: (bar, beat, length in beats, note); bars and beats count from 1.
PHRASE = (
    (1, 2, 1, "F#5"), (1, 3, 1, "A5"),
    (2, 1, 1, "G5"), (2, 2, 1, "F#5"), (2, 3, 1, "C#5"),
    (3, 1, 1, "B4"), (3, 2, 1, "C#5"), (3, 3, 1, "D5"),
    (4, 1, 3, "A4"),
)  # fmt: skip
MELODY = (
    *((bar + 4, beat, length, note) for bar, beat, length, note in PHRASE),
    (9, 1, 12, "F#4"),
    *((bar + 12, beat, length, note) for bar, beat, length, note in PHRASE),
)
# The accompaniment: odd and even bars. The bass comes on the first beat, the chord on the second.
BASS = ("G2", "D2")
CHORDS = (("B3", "D4", "F#4"), ("A3", "C#4", "F#4"))

TEMPO = 70.0  # quarter notes per minute
LEAD_IN = 0.6  # seconds of silence, one empty bar
BREATH = 0.07  # the tempo of a phrase rises and falls by this part
RITARDANDO = (14.0, 0.55)  # from this bar on, down to this part of the tempo
MELODY_LEADS = 0.016  # seconds
SPREAD = 0.006  # seconds, standard deviation between notes of one chord
TOUCH = 2.0  # standard deviation of velocity
PEDAL_DOWN, PEDAL_UP = 0.22, 0.03  # seconds after the beat: caught after the bass, lifted with the next one
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch(name: str) -> int:
    """MIDI number of a note name: 'C4' is 60, 'F#4' is 66."""
    return STEPS[name[0]] + name.count("#") + 12 * (int(name[-1]) + 1)


def tempo_curve(rng: np.random.Generator) -> np.ndarray:
    """(beats,) seconds that each quarter note lasts."""
    beat = np.arange(BARS * BEATS)
    bar = beat / BEATS
    arch = np.sin(np.pi * (bar % 4) / 4)  # each phrase of four bars goes forward and settles
    tempo = TEMPO * (1 - BREATH / 2 + BREATH * arch) * (1 + 0.012 * rng.standard_normal(len(beat)))
    start, depth = RITARDANDO
    slowing = np.clip((bar - start) / (BARS - start), 0, 1)
    return 60 / (tempo * (1 - (1 - depth) * slowing**1.5))


def dynamics(bar: np.ndarray) -> np.ndarray:
    """Velocity of the melody at each bar (a float from 1 on): up to the height of the phrase, then down."""
    points = np.array([1, 5, 6, 8, 9, 13, 14, 15.5, 17])
    levels = np.array([56, 58, 72, 60, 48, 60, 78, 64, 46])
    return np.interp(bar, points, levels)


def perform() -> Notes:
    """The piece as it is played: two hands, pedal, and the tempo map of the performance."""
    rng = np.random.default_rng(SEED)
    microseconds = np.round(1e6 * tempo_curve(rng))  # whole, as MIDI keeps them
    ticks = 960 * np.arange(BEATS, BEATS + len(microseconds))  # the lead-in is one bar
    changes = np.vstack([[0, round(1e6 * LEAD_IN / BEATS)], np.column_stack([ticks, microseconds])])
    clock = TempoMap(
        ticks_per_quarter=960,
        changes=changes,
        time_signatures=(TimeSignature(0, BEATS, 4),),
        key_signatures=(KeySignature(0, 2, 0),),
    )

    def seconds(bar, beat):
        return clock.quarters_to_seconds(BEATS + (np.asarray(bar) - 1) * BEATS + np.asarray(beat) - 1)

    rows = []  # onset, offset, pitch, velocity, track (0 right hand, 1 left hand)
    for bar, beat, length, name in MELODY:
        onset = seconds(bar, beat) - MELODY_LEADS
        legato = seconds(bar, beat + length) + 0.02  # into the next note
        level = dynamics(bar + (beat - 1) / BEATS) - (0 if beat == 1 else 3)
        rows.append((onset, legato, pitch(name), level, 0))
    for bar in range(1, BARS + 1):
        level = dynamics(bar)
        rows.append((seconds(bar, 1), seconds(bar + 1, 1) - 0.05, pitch(BASS[(bar - 1) % 2]), level - 14, 1))
        for name in CHORDS[(bar - 1) % 2]:
            rows.append((seconds(bar, 2), seconds(bar + 1, 1) - 0.08, pitch(name), level - 21, 1))
    onset, offset, pitches, velocity, track = np.array(rows, dtype=np.float64).T
    onset = onset + np.where(track == 1, np.abs(SPREAD * rng.standard_normal(len(rows))), 0.0)
    velocity = np.clip(np.round(velocity + TOUCH * rng.standard_normal(len(rows))), 20, 110)
    # A key that the other hand needs is let go just before: the long F#4 lies inside the chords.
    for i in range(len(rows)):
        again = onset[(pitches == pitches[i]) & (onset > onset[i])]
        if len(again):
            offset[i] = min(offset[i], again.min() - 0.06)
    downbeats = seconds(np.arange(1, BARS + 1), 1)
    last = seconds(BARS + 1, 1) + 1.5
    pedal = np.column_stack([downbeats + PEDAL_DOWN, np.append(downbeats[1:] + PEDAL_UP, last)])
    notes = Notes.from_arrays(
        onset,
        offset,
        pitches.astype(int),
        velocity.astype(int),
        track=track.astype(int),
        tracks=(Track(name="right hand"), Track(name="left hand")),
        tempo_map=clock,
        title="Gymnopédie No. 1 (bars 1–16)",
        composer="Erik Satie",
    )
    return notes.with_pedal(pedal)


def main(folder: Path) -> None:
    notes = perform()
    write_midi(notes, folder / "piano_reference.mid")
    try:
        soundfont = find_soundfont(SOUNDFONT)
    except SoundFontError:
        soundfont = find_soundfont()
    audio = synthesize(notes, soundfont=soundfont, rate=RATE)
    save_audio(audio, folder / "piano.ogg")
    print(f"{len(notes)} notes, {audio.duration:.1f} s, played on {soundfont.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
