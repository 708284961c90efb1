"""Makes the example song: composed here, played by a band from a SoundFont, sung by a voice made of formulas.

The song, 'Lantern Street', is ours and dedicated to the public domain (CC0 1.0): two bars of introduction, a verse
and a chorus of eight bars each, and a last chord; A major, 4/4, the fourth degree borrowed from A minor once. The
band is drums, bass, guitar, electric piano and strings, with a tempo that drifts a little. All chance comes from one
seed, so that the performance is always the same.

The voice sings vowels. Each sample is the sum of the harmonics of a train of glottal pulses, as loud as the
resonances of a mouth (four formants) let them through; pitch slides into each note, vibrato sets in when a note is
held, soft consonants close the mouth between syllables, and a little breath is added (after D. Klatt, 'Software for
a cascade/parallel formant synthesizer', JASA 67(3), 1980; formant frequencies after G. Peterson and H. Barney, JASA
24(2), 1952).

    python examples/make_song_example.py [folder]

writes song.ogg, the recording; song_reference.mid, every note that was played, with the tempo map of the
performance; and song_reference.json, its beats, chords, key and melody in the form of `spartito analyze`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from spartito.analysis.beats import beats_from_times
from spartito.analysis.song import Analysis, Chord
from spartito.audio.audio import Audio
from spartito.audio.io import save_audio
from spartito.notes.midi import write_midi
from spartito.notes.notes import CONTROL_DTYPE, Notes, Track
from spartito.notes.tempo import KeySignature, TempoMap, TimeSignature
from spartito.render.soundfont import SoundFontError, find_soundfont
from spartito.render.synthesize import measure_loudness, normalise, synthesize

TITLE, KEY, SHARPS = "Lantern Street", "A:maj", 3
SEED = 1926
RATE = 24000  # hertz
SOUNDFONT = "FluidR3_GM"  # what song.ogg is rendered with; the default one when it is not there
BARS, BEATS = 19, 4
VERSE, CHORUS, END = 3, 11, 19  # bars where they begin, counted from 1
TEMPO, FASTER = 112.0, 1.02  # quarter notes per minute; the chorus is a little faster
LEAD_IN = 0.4  # seconds before the first beat: one empty bar of the tempo map
LOUDNESS = -16.0  # LUFS of the whole
VOICE_ABOVE = 0.0  # LU, the voice against the band
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

# Chords: (bar, beat, symbol, bass, notes of guitar and keys).
CHORDS = (
    (1, 1, "A:maj", "A1", "E3 A3 C#4 E4"), (2, 1, "D:maj7", "D2", "F#3 A3 C#4 F#4"),
    (3, 1, "A:maj", "A1", "E3 A3 C#4 E4"), (4, 1, "F#:min7", "F#1", "E3 A3 C#4 F#4"),
    (5, 1, "D:maj7", "D2", "F#3 A3 C#4 F#4"), (6, 1, "E:7", "E2", "E3 G#3 B3 D4"),
    (7, 1, "A:maj/3", "C#2", "E3 A3 C#4 E4"), (8, 1, "F#:min7", "F#1", "E3 A3 C#4 F#4"),
    (9, 1, "B:min7", "B1", "F#3 A3 B3 D4"), (10, 1, "E:sus4", "E2", "E3 A3 B3 E4"),
    (10, 3, "E:7", "E2", "E3 G#3 B3 D4"),
    (11, 1, "D:maj", "D2", "F#3 A3 D4 F#4"), (12, 1, "E:7", "E2", "E3 G#3 B3 D4"),
    (13, 1, "C#:min7", "C#2", "E3 G#3 B3 C#4"), (14, 1, "F#:min7", "F#1", "E3 A3 C#4 F#4"),
    (15, 1, "B:min7", "B1", "F#3 A3 B3 D4"), (16, 1, "D:min", "D2", "F3 A3 D4 F4"),
    (17, 1, "A:maj/5", "E2", "E3 A3 C#4 E4"), (18, 1, "E:sus4", "E2", "E3 A3 B3 E4"),
    (18, 3, "E:7", "E2", "E3 G#3 B3 D4"),
    (19, 1, "A:maj", "A1", "E3 A3 C#4 E4"),
)  # fmt: skip
# What is sung: bar, first beat, then (length in beats, note, consonant and vowel); "-" is a rest.
PHRASES = (
    (2, 4, "0.5 E4 la  0.5 F#4 na"),
    (3, 1, "1.5 A4 do  0.5 B4 we  1 C#5 la  0.5 B4 no  0.5 A4 me"),
    (4, 1, "1 A4 li  1 F#4 na  1.5 E4 do  0.5 C#4 we"),
    (5, 1, "0.5 D4 da  0.5 F#4 lo  1 A4 na  0.5 C#5 me  0.5 B4 li  1 A4 lo"),
    (6, 1, "1.5 B4 na  0.5 G#4 de  1 E4 mo  0.5 E4 la  0.5 F#4 na"),
    (7, 1, "1.5 A4 do  0.5 B4 we  1 C#5 la  0.5 D5 no  0.5 C#5 me"),
    (8, 1, "1 C#5 li  0.5 A4 na  1.5 F#4 do  0.9 F#4 we"),
    (9, 1, "0.5 B4 da  0.5 A4 lo  1 F#4 na  1 D5 me  0.5 C#5 li  0.5 B4 lo"),
    (10, 1, "1 A4 na  1 B4 de  1 G#4 mo  0.5 A4 la  0.5 B4 na"),
    (11, 1, "1.5 D5 wa  0.5 C#5 le  0.5 A4 no  1 B4 da  0.5 C#5 li"),
    (12, 1, "1.5 B4 no  0.5 A4 la  0.5 G#4 me  0.5 A4 do  0.9 B4 wa"),
    (13, 1, "1.5 C#5 la  0.5 E5 le  1 C#5 na  0.5 B4 do  0.5 G#4 li"),
    (14, 1, "2 A4 mo  0.5 - -  0.5 F#4 la  0.5 A4 ne  0.5 C#5 da"),
    (15, 1, "1.5 D5 wa  0.5 C#5 le  0.5 B4 no  0.5 A4 da  0.9 F#4 li"),
    (16, 1, "1 A4 no  1 F4 la  1.4 D5 me  0.1 - -  0.5 D5 do"),
    (17, 1, "2 C#5 wa  0.5 B4 le  0.5 A4 no  0.5 E4 da  0.5 F#4 li"),
    (18, 1, "1 A4 na  1 B4 le  0.5 B4 mo  0.5 C#5 la  1 G#4 de"),
    (19, 1, "3 A4 mo"),
)  # fmt: skip
# Drums by part: {General MIDI key: (beats counted from 1, velocity)}.
KICK, SNARE, STICK, HAT, OPEN, CRASH, TOM_HIGH, TOM_LOW = 36, 38, 37, 42, 46, 49, 48, 43
EIGHTHS = tuple(1 + i / 2 for i in range(8))
VERSE_DRUMS = {KICK: ((1, 2.5, 3), 92), STICK: ((2, 4), 84), HAT: (EIGHTHS, 62)}
CHORUS_DRUMS = {KICK: ((1, 2.5, 3, 3.5), 104), SNARE: ((2, 4), 100), HAT: (EIGHTHS[:-1], 74), OPEN: ((4.5,), 70)}
FILL = {SNARE: ((3.5, 3.75), 88), TOM_HIGH: ((4, 4.25), 92), TOM_LOW: ((4.5, 4.75), 98)}
# Guitar: (beat, length, lowest string and number of strings); upstrokes reach fewer of them.
STRUM = ((1, 1.4, 0, 4), (2.5, 0.4, 1, 3), (3, 0.9, 0, 4), (4, 0.4, 0, 4), (4.5, 0.45, 1, 3))
PICKING = (0, 2, 1, 3, 0, 2, 1, 3)  # strings, in eighths, before the chorus
STRING_GAP = 0.009  # seconds between strings of a strum
LOOSE = 0.004  # seconds, standard deviation of every onset of the band
TOUCH = 4.0  # standard deviation of velocity
VOICE, GUITAR, KEYS, STRINGS, BASS, DRUMS = range(6)
TRACKS = (  # name, General MIDI program, volume and place (controls 7 and 10)
    ("voice", 53, 110, 64), ("guitar", 25, 92, 88), ("electric piano", 4, 80, 40),
    ("strings", 48, 62, 64), ("bass", 33, 104, 64), ("drums", 0, 100, 64),
)  # fmt: skip


def pitch(name: str) -> int:
    """MIDI number of a note name: 'C4' is 60, 'F#4' is 66."""
    return STEPS[name[0]] + name.count("#") + 12 * (int(name[-1]) + 1)


def sung() -> list[tuple[int, float, float, int, str]]:
    """Bar, beat, length in beats, MIDI number and syllable of every note of the voice."""
    notes = []
    for bar, beat, line in PHRASES:
        words = line.split()
        for length, name, syllable in zip(words[::3], words[1::3], words[2::3]):
            if name != "-":
                notes.append((bar, beat, float(length), pitch(name), syllable))
            beat += float(length)
    return notes


def clock(rng: np.random.Generator) -> TempoMap:
    """The tempo map: an empty bar of LEAD_IN, then a tempo that wanders by a per cent and settles at the end."""
    beat = np.arange(BARS * BEATS)
    bar = 1 + beat / BEATS
    wander = np.convolve(rng.standard_normal(len(beat) + 7), np.hanning(8), mode="valid")
    tempo = TEMPO * (1 + 0.006 * wander) * np.where(bar >= CHORUS, FASTER, 1.0)
    tempo *= 1 - 0.16 * np.clip((bar - 18.25) / 1.5, 0, 1)
    microseconds = np.concatenate([[round(1e6 * LEAD_IN / BEATS)], np.round(60e6 / tempo)])
    ticks = 960 * np.append(0, BEATS + beat)
    return TempoMap(
        ticks_per_quarter=960,
        changes=np.column_stack([ticks, microseconds]),
        time_signatures=(TimeSignature(0, BEATS, 4),),
        key_signatures=(KeySignature(0, SHARPS, 0),),
    )


def perform() -> Notes:
    """The song as it is played, one track for each of the band and the voice."""
    rng = np.random.default_rng(SEED)
    time = clock(rng)

    def seconds(bar, beat):
        return time.quarters_to_seconds(BEATS * bar + np.asarray(beat, dtype=np.float64) - 1)

    rows = []  # onset, offset, pitch, velocity, track
    for bar, beat, length, key, _ in sung():
        rows.append((seconds(bar, beat), seconds(bar, beat + length) - 0.01, key, 96 if bar < CHORUS else 106, VOICE))
    for i, (bar, beat, _, bass, names) in enumerate(CHORDS):
        last = (BARS + 1, 1) if i + 1 == len(CHORDS) else CHORDS[i + 1][:2]
        end = BEATS * (last[0] - bar) + last[1]  # counted in beats of `bar`
        rows += _chord(rng, seconds, bar, beat, end, [pitch(name) for name in names.split()], pitch(bass))
    rows += _drums(rng, seconds)
    onset, offset, keys, velocity, track = np.array(rows, dtype=np.float64).T
    band = track != VOICE
    onset = onset + np.where(band, LOOSE * rng.standard_normal(len(rows)), 0.0)
    velocity = np.clip(np.round(velocity + TOUCH * band * rng.standard_normal(len(rows))), 20, 120)
    for i in range(len(rows)):  # a string is let go just before it is struck again
        again = onset[(keys == keys[i]) & (track == track[i]) & (onset > onset[i])]
        offset[i] = max(min(offset[i], again.min(initial=np.inf) - 0.01), onset[i] + 0.03)
    tracks = tuple(
        Track(name=name, program=program, is_drum=name == "drums", controls=_controls(volume, place))
        for name, program, volume, place in TRACKS
    )
    return Notes.from_arrays(
        onset, offset, keys.astype(int), velocity.astype(int),
        track=track.astype(int), tracks=tracks, tempo_map=time, title=TITLE, composer="spartito",
    )  # fmt: skip


def _controls(volume: int, place: int) -> np.ndarray:
    return np.array([(0.0, 7, volume), (0.0, 10, place)], dtype=CONTROL_DTYPE)


def _chord(rng, seconds, bar, beat, end, keys, bass) -> list[tuple]:
    """Guitar, keys, strings and bass of one chord that lasts from `beat` to `end` of its bar."""
    rows = []
    chorus = bar >= CHORUS
    if bar == END:
        rows += [(seconds(bar, 1) + k * 0.03, seconds(bar, end), key, 78, GUITAR) for k, key in enumerate(keys)]
        rows.append((seconds(bar, 1), seconds(bar, end), bass, 92, BASS))
    else:
        strokes = STRUM if chorus else [(1 + i / 2, 1.2, string, 1) for i, string in enumerate(PICKING)]
        for start, length, string, count in strokes:
            if beat <= start < end:
                up = start % 1 > 0 and count > 1
                for k, key in enumerate(sorted(keys[string : string + count], reverse=up)):
                    at = seconds(bar, start) + k * STRING_GAP
                    level = (86 if start in (1, 3) else 74) - 8 * (not chorus)
                    rows.append((at, seconds(bar, min(start + length, end)), key, level, GUITAR))
        for start in (1, 2.5, 3, 4.5) if chorus else (1, 3):
            if beat <= start < end:
                key = bass + 12 * (start == 4.5)
                rows.append((seconds(bar, start), seconds(bar, min(start + 1.4, end)), key, 96, BASS))
    if bar >= VERSE:
        rows += [(seconds(bar, beat), seconds(bar, end) - 0.03, key, 66, KEYS) for key in keys[1:]]
    if chorus:
        rows += [(seconds(bar, beat), seconds(bar, end), key + 12, 70, STRINGS) for key in keys[1:]]
    return rows


def _drums(rng, seconds) -> list[tuple]:
    rows = []
    for bar in range(1, BARS):
        pattern = CHORUS_DRUMS if bar >= CHORUS else VERSE_DRUMS if bar >= VERSE else {HAT: (EIGHTHS, 54)}
        fill = FILL if bar in (2, CHORUS - 1, END - 1) else {}
        for key, (beats, velocity) in (*pattern.items(), *fill.items()):
            for beat in beats:
                if fill and key in pattern and beat >= 3.5 and key not in (KICK, SNARE):
                    continue
                accent = 8 * (beat % 1 == 0) if key == HAT else 0
                rows.append((seconds(bar, beat), seconds(bar, beat) + 0.1, key, velocity + accent, DRUMS))
    for bar in (VERSE, CHORUS, END):
        rows.append((seconds(bar, 1), seconds(bar, 1) + 1.0, CRASH, 84, DRUMS))
    rows.append((seconds(END, 1), seconds(END, 1) + 0.2, KICK, 100, DRUMS))
    return rows


# -- the voice ----------------------------------------------------------------------------------------------

CONTROL_RATE = 400  # hertz, of pitch, level and formants
FORMANTS = {  # hertz, the first four resonances of each vowel; "m" is a closed mouth
    "a": (800, 1250, 2700, 3500), "e": (520, 1950, 2700, 3550), "i": (370, 2400, 3000, 3600),
    "o": (480, 950, 2650, 3450), "m": (300, 1100, 2300, 3300), "w": (330, 750, 2300, 3300),
}  # fmt: skip
HIGH_FORMANTS = (4400.0, 5500.0, 6600.0)  # hertz, the same for all vowels: without them the voice is dull
BANDWIDTHS = (90.0, 110.0, 150.0, 220.0, 350.0, 500.0, 700.0)  # hertz
CONSONANTS = {"l": ("i", 0.45), "n": ("m", 0.3), "m": ("m", 0.25), "d": ("e", 0.05), "w": ("w", 0.35)}  # mouth, level
CLOSED = 0.055  # seconds that a consonant takes before its vowel
ATTACK, RELEASE = 0.02, 0.07  # seconds
GLIDE = 0.045  # seconds, time constant of the slide into a note
SCOOP = 0.8  # semitones below, where a phrase begins
VIBRATO, DEPTH, VIBRATO_AFTER = 5.3, 0.3, 0.28  # hertz, semitones, seconds
HARMONICS, HIGHEST = 30, 11000.0  # at most; hertz
TILT = 0.95  # the k-th harmonic of the pulses falls as k to this power
BREATH = 0.012  # level of the breath against the voice
ROOM = 0.16  # level of the room against the voice
ROOM_TIME = 0.9  # seconds until the room has died away by 60 dB


def sing(notes: Notes, *, rate: int = RATE) -> np.ndarray:
    """(2, n) the voice in a room: the sung syllables at the times and pitches of the first track of `notes`."""
    rng = np.random.default_rng(SEED)
    mine = notes.array[notes.array["track"] == VOICE]
    syllables = [syllable for *_, syllable in sung()]
    frequency, level, formants = _controls_of_the_voice(mine, syllables, notes.duration + 1.0, rng)
    n = round(len(level) * rate / CONTROL_RATE)
    fine = np.arange(n) * CONTROL_RATE / rate  # in control steps
    coarse = np.arange(len(level))
    phase = 2 * np.pi * np.cumsum(np.interp(fine, coarse, frequency)) / rate
    voice = np.zeros(n)
    for k in range(1, HARMONICS + 1):
        strength = k**-TILT * _mouth(k * frequency, formants) * np.clip((HIGHEST - k * frequency) / 1000, 0, 1)
        voice += np.interp(fine, coarse, level * strength) * np.cos(k * phase)
    breath = np.diff(rng.standard_normal(n), append=0.0) * np.interp(fine, coarse, level)
    voice += BREATH * np.sqrt(np.mean(voice**2) / np.mean(breath**2)) * 10 ** (np.cos(phase) - 0.5) * breath
    return _in_a_room(voice, rate, rng)


def _controls_of_the_voice(mine, syllables, duration, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fundamental frequency (m,) in hertz, level (m,) and formants (m, 4) in hertz at CONTROL_RATE."""
    m = round(duration * CONTROL_RATE)
    time = np.arange(m) / CONTROL_RATE
    key = np.full(m, float(mine["pitch"][0]))
    level = np.zeros(m)
    formants = np.tile(np.array(FORMANTS["m"], dtype=np.float64), (m, 1))
    ended = -np.inf
    for note, (consonant, vowel) in zip(mine, syllables, strict=True):
        onset, offset, height = note["onset"], note["offset"], note["velocity"] / 100
        now = time >= onset - CLOSED
        legato = onset - ended < 0.15
        start = key[np.argmax(now)] if legato else note["pitch"] - SCOOP
        since = np.maximum(time - (onset - CLOSED / 2), 0)
        path = note["pitch"] + (start - note["pitch"]) * np.exp(-((since / GLIDE) ** 2))
        swing = np.clip((time - onset - VIBRATO_AFTER) / 0.25, 0, 1)
        key[now] = (path + DEPTH * swing * np.sin(2 * np.pi * VIBRATO * (time - onset)))[now]
        mouth, closed = CONSONANTS[consonant]
        here = now & (time < offset + RELEASE)
        opened = np.clip((time - onset) / ATTACK + 0.5, 0, 1)
        swell = 1 + 0.12 * np.sin(np.pi * np.clip((time - onset) / (offset - onset), 0, 1))
        shape = (closed + (1 - closed) * opened) * swell * np.clip((time - onset + CLOSED) / 0.03, 0, 1)
        level[here] = (height * shape * np.clip((offset + RELEASE - time) / RELEASE, 0, 1))[here]
        way = np.clip((time - onset) / 0.06 + 0.5, 0, 1)[:, None]
        shapes = [np.array(FORMANTS[name], dtype=np.float64) for name in (mouth, vowel)]
        formants[here] = ((1 - way) * shapes[0] + way * shapes[1])[here]
        ended = offset
    soft = np.hanning(13) / np.hanning(13).sum()  # 30 ms
    level = np.convolve(level, soft, mode="same")
    drift = np.convolve(rng.standard_normal(m + 160), np.hanning(161), mode="valid")
    frequency = 440 * 2 ** ((key + 0.04 * drift / drift.std() - 69) / 12)
    formants[:, 0] = np.maximum(formants[:, 0], 1.05 * frequency)  # singers open the mouth for high notes
    return frequency, level, formants


def _mouth(frequency: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """(m,) gain of all resonances, one after the other, at each frequency in hertz."""
    gain = np.ones_like(frequency)
    for centre, width in zip((*formants.T, *HIGH_FORMANTS), BANDWIDTHS):
        gain *= centre**2 / np.hypot(centre**2 - frequency**2, width * frequency)
    return gain


def _in_a_room(voice: np.ndarray, rate: int, rng) -> np.ndarray:
    """(2, n) the voice in the middle, and a room of noise that dies away on either side."""
    size = round(ROOM_TIME * rate)
    tail = rng.standard_normal((2, size)) * 10 ** (-3 * np.arange(size) / size)
    tail[:, : round(0.012 * rate)] = 0.0  # the walls are two metres away
    smooth = np.array([0.25, 0.5, 0.25])  # and swallow the treble
    tail = np.stack([np.convolve(np.convolve(side, smooth, "same"), smooth, "same") for side in tail])
    tail *= ROOM / np.sqrt((tail**2).sum(axis=1, keepdims=True))
    length = 1 << (len(voice) + size).bit_length()
    wet = np.fft.irfft(np.fft.rfft(voice, length) * np.fft.rfft(tail, length), length)[:, : len(voice)]
    return (voice + wet).astype(np.float32)


# -- the whole ----------------------------------------------------------------------------------------------


def mix(notes: Notes, soundfont) -> tuple[Audio, Audio]:
    """Voice and band, each as loud as it is in the song: their sum is the recording."""
    band = synthesize(notes.select(notes.array["track"] != VOICE), soundfont=soundfont, rate=RATE, loudness=-20.0)
    voice = normalise(Audio(sing(notes), RATE), loudness=-20.0 + VOICE_ABOVE)
    n = max(band.samples.shape[1], voice.samples.shape[1])
    parts = [np.pad(part.samples, ((0, 0), (0, n - part.samples.shape[1]))) for part in (voice, band)]
    whole = Audio(parts[0] + parts[1], RATE)
    gain = 10 ** ((LOUDNESS - measure_loudness(whole)) / 20)
    gain = min(gain, 10 ** (-1 / 20) / np.abs(whole.samples).max())  # not above -1 dBFS
    return Audio(gain * parts[0], RATE), Audio(gain * parts[1], RATE)


def analysis(notes: Notes, audio: Audio) -> Analysis:
    """What was played, as `spartito analyze` would ideally hear it."""
    from spartito.analysis.song import LOUDNESS_HOP

    quarters = np.arange(BEATS, BEATS * (BARS + 1) + 1)
    times = notes.tempo_map.quarters_to_seconds(quarters)
    edges = [0.0, *(times[BEATS * (bar - 1) + beat - 1] for bar, beat, *_ in CHORDS), times[-1], audio.duration]
    labels = ["N", *(label for _, _, label, *_ in CHORDS), "N"]
    voice = notes.array[notes.array["track"] == VOICE]
    step = round(LOUDNESS_HOP * audio.rate)
    power = (audio.mono()[: len(audio.mono()) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    return Analysis(
        duration=audio.duration,
        beats=beats_from_times(times, np.arange(len(times)) % BEATS, numerator=BEATS, denominator=4),
        chords=tuple(Chord(a, b, label) for a, b, label in zip(edges[:-1], edges[1:], labels) if b > a),
        key=KEY,
        melody=np.column_stack([voice["onset"], voice["offset"], voice["pitch"]]),
        loudness=10 * np.log10(power + 1e-12),
        tuning=0.0,
        steady=False,
        engine="given",
    )


def main(folder: Path) -> None:
    notes = perform()
    try:
        soundfont = find_soundfont(SOUNDFONT)
    except SoundFontError:
        soundfont = find_soundfont()
    voice, band = mix(notes, soundfont)
    song = Audio(voice.samples + band.samples, RATE, title=TITLE, artist="spartito")
    save_audio(song, folder / "song.ogg")
    write_midi(notes, folder / "song_reference.mid")
    analysis(notes, song).save(folder / "song_reference.json")
    print(
        f"{len(notes)} notes, {song.duration:.1f} s, played on {soundfont.name}: {measure_loudness(song):.1f} LUFS, "
        f"peak {20 * np.log10(np.abs(song.samples).max()):.1f} dBFS, voice {measure_loudness(voice):.1f}, "
        f"band {measure_loudness(band):.1f} LUFS"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
