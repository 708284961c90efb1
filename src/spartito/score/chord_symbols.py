"""Chord symbols over the staff, as a lead sheet has them: Am7, F♯m, C/E, Gsus4, N.C.

Job
    Chords in seconds (Harte's names) become symbols at the beats of a score, once where they change, their roots and
    basses named in the key; symbols become MusicXML's `<harmony>`, and are read from it.

Method
    A beat has the chord that sounds in its middle. A root is the one of its two or three names that lies between five
    fifths below and six above the tonic (B♭ and not A♯ in A major, D♯ and not E♭ in E minor), unless it is hard to
    read; a bass is named as the degree it is of its chord. 'N.C.' stands where nothing sounds for a bar or longer and
    a chord still follows.

Source
    MusicXML 4.0, `<harmony>` (https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/harmony/). partitura's
    own writer and reader know root and suffix only, so both are done here; partitura's ChordSymbol holds the symbol.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from spartito.analysis.beats import Beats
from spartito.analysis.harte import encode
from spartito.notes.quantize import TICKS
from spartito.score.notation import Bar
from spartito.score.spelling import Key

__all__ = ["add_chord_symbols", "chord_name", "name_chord", "place_harmonies", "read_harmonies"]

NO_CHORD = "N.C."
KINDS = {  # semitones above the root: (MusicXML's kind, suffix of the symbol)
    (0, 4, 7): ("major", ""),
    (0, 3, 7): ("minor", "m"),
    (0, 3, 6): ("diminished", "dim"),
    (0, 4, 8): ("augmented", "aug"),
    (0, 2, 7): ("suspended-second", "sus2"),
    (0, 5, 7): ("suspended-fourth", "sus4"),
    (0, 4, 7, 10): ("dominant", "7"),
    (0, 4, 7, 11): ("major-seventh", "maj7"),
    (0, 3, 7, 10): ("minor-seventh", "m7"),
    (0, 3, 7, 11): ("major-minor", "m(maj7)"),
    (0, 4, 7, 9): ("major-sixth", "6"),
    (0, 3, 7, 9): ("minor-sixth", "m6"),
    (0, 3, 6, 9): ("diminished-seventh", "dim7"),
    (0, 3, 6, 10): ("half-diminished", "m7♭5"),
    (0, 7): ("power", "5"),
    (0, 4, 8, 10): ("augmented-seventh", "7♯5"),
    (0, 5, 7, 10): ("suspended-fourth", "7sus4"),
    (0, 2, 4, 7): ("major", "add9"),
    (0, 2, 3, 7): ("minor", "m(add9)"),
    (0, 4, 6, 10): ("dominant", "7♭5"),
    (0,): ("pedal", "ped"),
}
# What Harte's short names say beyond the octave, where `encode` sets no bit.
EXTENDED = {
    "9": ("dominant-ninth", "9"),
    "maj9": ("major-ninth", "maj9"),
    "min9": ("minor-ninth", "m9"),
    "11": ("dominant-11th", "11"),
    "maj11": ("major-11th", "maj11"),
    "min11": ("minor-11th", "m11"),
    "13": ("dominant-13th", "13"),
    "maj13": ("major-13th", "maj13"),
    "min13": ("minor-13th", "m13"),
    "b9": ("dominant", "7♭9"),
    "#9": ("dominant", "7♯9"),
    "#11": ("dominant", "7♯11"),
    "b13": ("dominant", "7♭13"),
}
SUFFIXES = {kind: suffix for kind, suffix in reversed([*KINDS.values(), *EXTENDED.values()])}
KIND_OF = {suffix: kind for kind, suffix in (*EXTENDED.values(), *KINDS.values())}
ADDED = {1: "♭9", 2: "9", 5: "11", 6: "♯11", 8: "♭13", 9: "13", 10: "7", 11: "maj7"}
FIFTHS_ABOVE = (0, -5, 2, -3, 4, -1, -6, 1, -4, 3, -2, 5)  # of each number of semitones above a root, by degree
NAMES = "FCGDAEB"  # the line of fifths; place -1 is F
BELOW = 5  # fifths under the tonic that a root may be named
LAST_FLAT, LAST_SHARP = -6, 10  # places of G♭ and A♯


def name_chord(label: str, *, fifths: int, minor: bool = False) -> tuple[str, str, str]:
    """Root, suffix and bass ("" when it is the root) of a chord in Harte's notation: 'A:min7/b3' gives A, m7, C.

    Accidentals are written # and b. `fifths` and `minor` say the key; `N` gives "", "N.C.", "".
    """
    root, _, bass = encode(label)
    if root < 0:
        return "", NO_CHORD, ""
    label = label.partition("/")[0]  # the bass alone makes no other chord
    tonic = fifths + 3 * minor  # place on the line of fifths, C = 0
    place = _plain(tonic - BELOW + (7 * root - (tonic - BELOW)) % 12, fifths)
    above = set(np.flatnonzero(encode(label)[1]).tolist())
    if re.search("[b#]5", label):  # 'min7(b5)' is meant to have no other fifth
        above.discard(7)
    short = label.partition(":")[2]
    if short in EXTENDED:
        suffix = EXTENDED[short][1]
    else:
        suffix = _suffix(tuple(sorted(above))) + _beyond(label)
    under = "" if bass == 0 else _named(_plain(place + FIFTHS_ABOVE[bass], fifths))
    return _named(place), suffix, under


def _suffix(above: tuple[int, ...]) -> str:
    """The suffix of a set of semitones above the root."""
    if above in KINDS:
        return KINDS[above][1]
    # the known chord that says most of it and nothing that is not there, and what it leaves out
    inside = [known for known in KINDS if set(known) <= set(above) and len(known) > 1]
    best = max(inside, key=lambda known: (len(known), 7 in known, 4 in known), default=(0, 4, 7))
    rest = [ADDED[i] for i in above if i not in best and i in ADDED]
    return KINDS[best][1] + (f"({','.join(rest)})" if rest else "")


def _beyond(label: str) -> str:
    """The degrees above the octave that a label adds in parentheses, where `encode` sets no bit: '(♯11)'."""
    inside = re.search(r"\(([^)]*)\)", label)
    degrees = [part.strip() for part in inside[1].split(",")] if inside else []
    high = [d for d in degrees if d.lstrip("b#").isdigit() and int(d.lstrip("b#")) > 8]
    seventh = re.search(r"7|9|11|13", label[: inside.start()]) if inside else None
    if high and not seventh:
        return f"(add{_printed(','.join(high))})"
    return f"({_printed(','.join(high))})" if high else ""


def _plain(place: int, fifths: int) -> int:
    """The same key under a name that is read at once: no double accidentals, no C♭, F♭, E♯, B♯ foreign to the key."""
    while place > max(LAST_SHARP, fifths + 5):
        place -= 12
    while place < min(LAST_FLAT, fifths - 1):
        place += 12
    return place


def _named(place: int) -> str:
    """Name of a place on the line of fifths (C = 0)."""
    accidentals, step = divmod(place + 1, 7)
    return NAMES[step] + ("#" * accidentals if accidentals > 0 else "b" * -accidentals)


def chord_name(symbol) -> str:
    """What is read over the staff (partitura.score.ChordSymbol): 'F♯m7', 'C/E', 'N.C.'."""
    if symbol.kind == NO_CHORD:
        return NO_CHORD
    root = symbol.root + ("#" * symbol.alter if symbol.alter > 0 else "b" * -symbol.alter)
    return _printed(root) + (symbol.kind or "") + (f"/{_printed(symbol.bass)}" if symbol.bass else "")


def _printed(name: str) -> str:
    return name.replace("#", "♯").replace("b", "♭")


# -- from chords in seconds to symbols in a part --------------------------------------------------------------


def add_chord_symbols(part, chords, beats: Beats, bars: list[Bar], *, shift: int, keys: list[Key]):
    """Write `chords` (each with start, end in seconds and a label in Harte's notation) over the bars of `part`.

    `shift` is the tick of `beats` (quarter notes times TICKS) at which the score begins; `keys` name the chords.
    """
    import partitura.score as ps

    chords = sorted(chords, key=lambda chord: chord.start)
    if not chords:
        return
    ticks, lengths = (np.concatenate(a) for a in zip(*((_beats_of(bar)) for bar in bars)))
    middle = beats.to_seconds((ticks + lengths / 2 + shift) / TICKS)
    starts = np.array([chord.start for chord in chords])
    which = np.searchsorted(starts, middle, side="right") - 1
    key = np.searchsorted([key.start for key in keys], ticks, side="right") - 1
    names = []
    for i, time, k in zip(which, middle, key):
        label = chords[i].label if i >= 0 and time < chords[i].end else "N"
        names.append(name_chord(label, fifths=keys[k].fifths, minor=keys[k].mode == "minor"))
    for tick, (root, suffix, bass) in _changes(names, ticks, lengths, bars):
        alter = root.count("#") - root[1:].count("b")
        part.add(ps.ChordSymbol(root=root[:1] or "C", kind=suffix, bass=bass or None, alter=alter), int(tick))


def _beats_of(bar: Bar) -> tuple[np.ndarray, np.ndarray]:
    """Ticks where the beats of a bar begin, and how long they are."""
    ticks = np.arange(bar.start, bar.end, bar.beat)
    return ticks, np.diff(np.append(ticks, bar.end))


def _changes(names, ticks, lengths, bars: list[Bar]):
    """Tick and name where a chord begins that was not there before; short or final silence is no change."""
    bar = bars[0].end - bars[0].start + bars[0].missing
    edges = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
    last = None
    for first, end in pairwise(edges):
        name = names[first]
        if name[1] == NO_CHORD and (end == len(names) or lengths[first:end].sum() < bar):
            continue
        if name != last:
            yield ticks[first], name
        last = name


# -- MusicXML -------------------------------------------------------------------------------------------------


def _harmony(symbol, etree, *, offset: int = 0):
    """The `<harmony>` of a symbol; `offset` in divisions from where it is put."""
    harmony = etree.Element("harmony", {"print-frame": "no"})
    silent = symbol.kind == NO_CHORD
    root = etree.SubElement(harmony, "root")
    step = etree.SubElement(root, "root-step")
    step.text = symbol.root
    if silent:
        step.set("text", "")
    elif symbol.alter:
        etree.SubElement(root, "root-alter").text = str(symbol.alter)
    suffix = symbol.kind or ""
    kind = etree.SubElement(harmony, "kind", text=suffix)
    kind.text = "none" if silent else KIND_OF.get(suffix, KIND_OF.get(suffix.partition("(")[0], "other"))
    if symbol.bass:
        bass = etree.SubElement(harmony, "bass")
        etree.SubElement(bass, "bass-step").text = symbol.bass[0]
        alter = symbol.bass.count("#") - symbol.bass[1:].count("b")
        if alter:
            etree.SubElement(bass, "bass-alter").text = str(alter)
    if offset:
        etree.SubElement(harmony, "offset").text = str(offset)
    etree.SubElement(harmony, "staff").text = "1"
    return harmony


def place_harmonies(part, measures, starts: list[int], etree) -> None:
    """Put the symbols of `part` (partitura) into its `<measure>`s, which begin at the ticks `starts`."""
    import partitura.score as ps

    for measure in measures:
        for raw in measure.findall("harmony"):  # partitura's own
            if raw.find("root") is not None:
                measure.remove(raw)
    symbols = list(part.iter_all(ps.ChordSymbol))
    numbers = np.searchsorted(starts, [symbol.start.t for symbol in symbols], side="right") - 1
    for symbol, number in zip(symbols, numbers):
        measure, into = measures[number], symbol.start.t - starts[number]
        before, at = None, 0
        cursor = 0
        for child in measure:
            if child.tag in ("backup", "forward"):
                break  # the first voice is written first
            if child.tag == "note" and child.find("chord") is None:
                if cursor > into:
                    break
                if child.find("grace") is None or before is None or cursor > at:
                    before, at = child, cursor
                cursor += int(child.findtext("duration") or 0)
        element = _harmony(symbol, etree, offset=into - at)
        if before is None:
            measure.append(element)
        else:
            before.addprevious(element)


def read_harmonies(root, part) -> None:
    """Give `part` (partitura) the symbols of the first `<part>` of a MusicXML document, in place of those it has."""
    import partitura.score as ps

    for symbol in list(part.iter_all(ps.ChordSymbol)):
        part.remove(symbol)
    element = root.find("part")
    starts = [measure.start.t for measure in part.iter_all(ps.Measure)]
    for measure, start in zip([] if element is None else element.findall("measure"), starts):
        cursor = start
        for child in measure:
            duration = int(child.findtext("duration") or 0)
            if child.tag == "backup":
                cursor -= duration
            elif child.tag == "forward" or (child.tag == "note" and child.find("chord") is None):
                cursor += duration
            elif child.tag == "harmony" and child.find("kind") is not None and child.find("root") is not None:
                part.add(_symbol(child, ps), cursor + int(child.findtext("offset") or 0))


def _symbol(harmony, ps):
    kind = harmony.find("kind")
    name = (kind.text or "").strip()
    suffix = kind.get("text", NO_CHORD if name == "none" else SUFFIXES.get(name, ""))
    bass = None
    if harmony.find("bass") is not None:
        alter = int(float(harmony.findtext("bass/bass-alter") or 0))
        bass = harmony.findtext("bass/bass-step", "C") + ("#" * alter if alter > 0 else "b" * -alter)
    alter = int(float(harmony.findtext("root/root-alter") or 0))
    return ps.ChordSymbol(root=harmony.findtext("root/root-step", "C"), kind=suffix, bass=bass, alter=alter)
