"""What the players of a made-up band can do: drum grooves, bass lines, ways of comping, and the instruments for each.

Job
    Tables of patterns, one bar each, that `training/orchestrate.py` repeats under the chords of a song.

How they are written
    One character per step: four steps to a beat (three in a shuffle). For drums "X" is an accent, "x" a stroke, "o" a
    ghost note, "." nothing. For bass "R" root, "5" fifth, "8" octave, "3" third, "A" a step below the next root, "-"
    the note goes on, "." silence. For chords "X" and "x" the whole chord, "B" its lowest note, "U" the notes above it,
    "1" to "6" single notes from below, "-" and "." as before. A bar longer than its pattern begins it again.

Split
    Patterns under a name that starts with "test-" are played for test excerpts only, the others for training and
    validation only; so are the SoundFonts (`TEST_SOUNDFONTS`). A model is thus never tested on a groove or a timbre it
    has learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BASS_LINES",
    "COMPING",
    "GROOVES",
    "INSTRUMENTS",
    "PIANOS",
    "TEST_PREFIX",
    "TEST_SOUNDFONTS",
    "Groove",
    "of_split",
]

TEST_PREFIX = "test-"
TEST_SOUNDFONTS = ("TimGM6mb",)  # GPL-2: heard in tests only, never in training

# Keys of the General MIDI drum kit
KICK, STICK, SNARE, CLAP, HAT, PEDAL_HAT, OPEN_HAT = 36, 37, 38, 39, 42, 44, 46
CRASH, RIDE, BELL, TAMBOURINE, COWBELL, SPLASH = 49, 51, 53, 54, 56, 55
CONGA_HIGH, CONGA_LOW, CABASA, SHAKER = 63, 64, 69, 82
TOMS = (50, 48, 47, 45, 43, 41)  # from high to low
STANDARD, ROOM, POWER, ELECTRONIC, TR808, JAZZ, BRUSH = 0, 8, 16, 24, 25, 32, 40  # drum kits
ROCK_KITS, POP_KITS, SOFT_KITS = (STANDARD, ROOM, POWER), (STANDARD, ROOM, ELECTRONIC, TR808), (STANDARD, JAZZ, BRUSH)


@dataclass(frozen=True)
class Groove:
    """One bar of drums: `lanes` holds a pattern per key of the kit; `beats` in the bar, `steps` in a beat."""

    lanes: dict[int, str]
    kits: tuple[int, ...] = ROCK_KITS
    beats: int = 4
    steps: int = 4
    tempo: tuple[float, float] = (50.0, 200.0)  # beats per minute between which it is played


GROOVES = {
    "rock-8": Groove({KICK: "X.......X.x.....", SNARE: "....X.......X...", HAT: "X.x.X.x.X.x.X.x."}),
    "rock-8-pushed": Groove({KICK: "X.....x...X.....", SNARE: "....X.......X..o", HAT: "X.x.X.x.X.x.X.x."}),
    "rock-ride": Groove({KICK: "X...x...X...x...", SNARE: "....X.......X...", RIDE: "X.x.X.x.X.x.X.x."}, ROCK_KITS),
    "pop-16": Groove(
        {KICK: "X..x..x...X.....", SNARE: "....X..o.o..X..o", HAT: "XoxoXoxoXoxoXoxo"}, POP_KITS, tempo=(50, 118)
    ),
    "pop-16-open": Groove(
        {KICK: "X.....x.x.......", SNARE: "....X.......X...", HAT: "XoxoXoxoXoxoXo..", OPEN_HAT: "..............x."},
        POP_KITS,
        tempo=(50, 112),
    ),
    "four-on-the-floor": Groove(
        {KICK: "X...X...X...X...", CLAP: "....X.......X...", HAT: "..x...x...x...x."}, POP_KITS, tempo=(95, 160)
    ),
    "disco": Groove(
        {KICK: "X...X...X...X...", SNARE: "....X.......X...", OPEN_HAT: "..X...X...X...X.", HAT: "x.......x......."},
        (STANDARD, ROOM, ELECTRONIC),
        tempo=(98, 150),
    ),
    "half-time": Groove(
        {KICK: "X.........x.....", SNARE: "........X.......", HAT: "X.x.x.x.X.x.x.x."}, tempo=(75, 190)
    ),
    "ballad-stick": Groove(
        {KICK: "X.......x.......", STICK: "....X.......X...", HAT: "x.x.x.x.x.x.x.x."}, SOFT_KITS, tempo=(45, 110)
    ),
    "ballad-sparse": Groove(
        {KICK: "X.........x.....", SNARE: "........X.......", SHAKER: "x.o.x.o.x.o.x.o."}, SOFT_KITS
    ),
    "motown": Groove(
        {KICK: "X.....x.X.......", SNARE: "X...X...X...X...", TAMBOURINE: "x.x.x.x.x.x.x.x."}, tempo=(90, 170)
    ),
    "train": Groove({KICK: "X...X...X...X...", SNARE: "oooXoooXoooXooXo"}, SOFT_KITS, tempo=(70, 125)),
    "bossa": Groove(
        {KICK: "X..xX..xX..xX..x", STICK: "X..X..X...X..X..", HAT: "x.x.x.x.x.x.x.x."}, SOFT_KITS, tempo=(80, 160)
    ),
    "brushes": Groove(
        {KICK: "x.......x.......", SNARE: "x.x.X.x.x.x.X.x.", PEDAL_HAT: "....x.......x..."},
        (BRUSH, JAZZ),
        tempo=(50, 140),
    ),
    "one-drop": Groove(
        {KICK: "........X.......", STICK: "........X.......", HAT: "x.x.x.x.x.x.x.x."}, SOFT_KITS, tempo=(60, 150)
    ),
    "trap": Groove(
        {KICK: "X......x..X.....", CLAP: "........X.......", HAT: "X.x.X.xoX.x.Xoxo"},
        (TR808, ELECTRONIC),
        tempo=(60, 150),
    ),
    "congas": Groove(
        {
            KICK: "X.......X.......",
            CONGA_HIGH: "..x...X...x...X.",
            CONGA_LOW: "x.......x.....xx",
            CABASA: "x.x.x.x.x.x.x.x.",
        },
        SOFT_KITS,
        tempo=(60, 135),
    ),
    "shuffle": Groove(
        {KICK: "X.....X..x..", SNARE: "...X.....X..", HAT: "X.xX.xX.xX.x"},
        SOFT_KITS + ROCK_KITS,
        steps=3,
        tempo=(50, 190),
    ),
    "twelve-eight": Groove(
        {KICK: "X....xX.....", SNARE: "...X.....X..", HAT: "XxxXxxXxxXxx"}, ROCK_KITS, steps=3, tempo=(40, 110)
    ),
    "waltz-light": Groove({KICK: "X...........", STICK: "....x...x...", HAT: "x...x...x..."}, SOFT_KITS, beats=3),
    "waltz-rock": Groove({KICK: "X.......x...", SNARE: "....X...X...", HAT: "X.x.x.x.x.x."}, ROCK_KITS, beats=3),
    "waltz-backbeat": Groove({KICK: "X...........", SNARE: "........X...", RIDE: "X...x.x.x..."}, POP_KITS, beats=3),
    "waltz-brushes": Groove(
        {KICK: "x...........", SNARE: "x.o.X.o.X.o.", PEDAL_HAT: "....x...x..."}, (BRUSH, JAZZ), beats=3
    ),
    "waltz-triplets": Groove({KICK: "X........", SNARE: "...x..X..", RIDE: "X.xX.xX.x"}, SOFT_KITS, beats=3, steps=3),
    "test-rock": Groove({KICK: "X.x.......X..x..", SNARE: "....X.......X...", HAT: "X.x.X.x.X.x.X.x."}),
    "test-funk": Groove(
        {KICK: "X.x....x..x..x..", SNARE: "....X..o.o.oX...", HAT: "x.xox.xox.xox.xo"}, POP_KITS, tempo=(50, 120)
    ),
    "test-bell": Groove(
        {KICK: "X.....x.X.....x.", SNARE: "....X.......X...", BELL: "X...X...X...X..."}, tempo=(60, 180)
    ),
    "test-claps": Groove({KICK: "X...X...X...X..x", CLAP: "....X.......X.x.", SHAKER: "xoxoxoxoxoxoxoxo"}, POP_KITS),
    "test-half-time": Groove(
        {KICK: "X..x......x.....", SNARE: "........X.....o.", RIDE: "X...x...X...x..."}, tempo=(70, 190)
    ),
    "test-stick": Groove({KICK: "X.....x.........", STICK: "..x.....x...x...", CABASA: "x.xxx.xxx.xxx.xx"}, SOFT_KITS),
    "test-shuffle": Groove({KICK: "X..X..X..X..", SNARE: "...X.....X..", RIDE: "X..X.xX..X.x"}, SOFT_KITS, steps=3),
    "test-waltz": Groove({KICK: "X.....x.....", STICK: "....x.......", TAMBOURINE: "....x.x.x.x."}, SOFT_KITS, beats=3),
    "test-waltz-triplets": Groove(
        {KICK: "X.....x..", STICK: "...x.....", HAT: "xxxxxxxxx"}, SOFT_KITS, beats=3, steps=3
    ),
}

# Bass: "walking" and "piano" are played by rule, not by pattern (see orchestrate.py)
BASS_LINES = {
    "roots": "R---------------",
    "halves": "R-------R-------",
    "root-fifth": "R-------5-------",
    "dotted": "R-----R-R-----5-",
    "eighths": "R.R.R.R.R.R.R.R.",
    "octaves": "R.8.R.8.R.8.R.8.",
    "pushed": "R-----R---5---A-",
    "syncopated": "R--R--R---5-8---",
    "ballad": "R-----------5-A-",
    "quarters": "R-..R-..R-..R-..",
    "bossa": "R-----5-5-----R-",
    "off-beats": "..R...R...R...R.",
    "walking": "",
    "piano": "",
    "test-tumbling": "R-8-5-8-R-5-8-5-",
    "test-sixteenths": "R.RRR.R.5.55R.8.",
    "test-tango": "R-----5-R---3-A-",
    "test-piano": "",
    "test-half-note-thirds": "R-------3---5---",
}

# Chords. The second value says for which kinds of instruments.
COMPING = {
    "held": "X---------------",
    "halves": "X-------X-------",
    "quarters": "X---X---X---X---",
    "eighths": "X-x-X-x-X-x-X-x-",
    "off-beats": "..X...X...X...X.",
    "back-beat": "....X.......X...",
    "charleston": "X-----X---------",
    "pushed": "X-----x-----X---",
    "strum-pop": "X---X-xx-xX-x-x-",
    "strum-slow": "X-------X-x-X-x-",
    "strum-16": "X-xxX-x--xX-X-xx",
    "boom-chick": "B---U---B---U---",
    "arpeggio-up": "1-2-3-4-3-4-3-2-",
    "arpeggio-16": "1234323412343234",
    "broken": "1-3-2-3-1-3-2-3-",
    "picking": "B-3-2-4-B-3-4-2-",
    "stabs": "X..X..X.........",
    "test-clave": "X--X--X---X-X---",
    "test-travis": "B-4-2-3-B-4-U-3-",
    "test-rolled": "1-3-4-5-4-3-4-2-",
    "test-skank": "..X...Xx..X...X.",
    "test-strum": "X--xX--x-xX-Xxx-",
    "test-held-twice": "X-----------X---",
}

PIANOS = (0, 1, 2, 3)  # programs of General MIDI (from 0) that sound like a piano
# Programs by role; tuples with weights where some are heard more often. Pianos come in only where a band has one.
INSTRUMENTS = {
    "lead": {
        52: 3, 53: 5, 54: 3, 40: 2, 41: 1, 42: 1, 64: 2, 65: 2, 66: 2, 67: 1, 68: 1, 71: 2, 73: 3, 74: 1, 75: 2,
        78: 1, 22: 1, 26: 1, 27: 1, 56: 1, 59: 1, 80: 1, 81: 2, 82: 1, 85: 2,
    },
    "bridge": {
        40: 2, 48: 2, 60: 1, 61: 1, 62: 1, 65: 1, 68: 1, 71: 1, 73: 2, 26: 2, 27: 2, 29: 1, 11: 2, 12: 1, 9: 1, 14: 1,
        46: 2, 80: 1, 81: 1, 85: 1, 98: 1, 22: 1, 104: 1, 24: 1, 4: 1,
    },
    "bass": {32: 2, 33: 6, 34: 3, 35: 1, 36: 1, 38: 2, 39: 1},
    "plucked": {24: 4, 25: 6, 26: 2, 27: 4, 28: 1, 29: 1, 30: 1, 105: 0.5, 46: 1, 107: 0.5},
    "keys": {4: 5, 5: 4, 6: 0.5, 7: 1, 8: 0.5, 11: 2, 12: 1, 16: 1, 17: 1.5, 18: 1, 21: 0.5, 108: 0.5},
    "pad": {48: 4, 49: 3, 50: 2, 51: 1, 52: 1, 89: 3, 88: 1, 90: 1, 91: 1, 92: 0.5, 94: 1, 95: 1, 16: 1, 61: 0.5},
}  # fmt: skip


def of_split(table: dict, split: str) -> dict:
    """The entries of a pattern table for a split: those of the test, or those of training and validation."""
    return {name: value for name, value in table.items() if name.startswith(TEST_PREFIX) == (split == "test")}
