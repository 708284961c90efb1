"""Chords of jazz from voicings without roots, walking basses and early strokes."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.note_chords import QUALITIES, ChordTrack, chords_of
from spartito.style import jazz_chords as module
from spartito.style.jazz_chords import chords_in, jazz_chords, shipped_harmony

CHORDS = {  # of a voicing without root (keys), and the four keys of a walking bass
    "D:min7": ((53, 57, 60, 64), (38, 41, 45, 44)),  # F A C E: third, fifth, seventh, ninth; D F A Ab
    "G:7": ((53, 57, 59, 64), (43, 47, 50, 49)),  # F A B E: seventh, ninth, third, thirteenth; G B D Db
    "C:maj7": ((52, 55, 59, 62), (36, 38, 40, 37)),  # E G B D; C D E Db
}


def played(names, *, early=False):
    """A bar for each chord: the voicing on beats 1 and 3 (an eighth early with `early`), the bass on every beat."""
    notes = []
    for bar, name in enumerate(names):
        voicing, bass = CHORDS[name]
        for beat, key in enumerate(bass):
            notes.append((16 * bar + 4 * beat, 4, key, 70, 0))
        for step in (0, 8):
            at = max(16 * bar + step - (1 if early else 0), 0)
            notes += [(at, 6, key, 60, 0) for key in voicing]
    return np.array(sorted(notes))


@pytest.mark.parametrize("early", [False, True])
def test_two_five_one(early):
    names = ["D:min7", "G:7", "C:maj7", "C:maj7"] * 3
    notes = played(names, early=early)
    truth = ChordTrack.of_labels([name for name in names for _ in range(4)])
    found = jazz_chords(notes, 48, shipped_harmony())
    usual = chords_of(notes, 48)
    right, before = ((track.root == truth.root).mean() for track in (found, usual))
    assert right >= 0.85 and right > before + 0.1
    assert (found.quality == truth.quality).mean() >= 0.8
    assert len(found.starts) < len(usual.starts)  # the bass walks, the chord stays
    assert len(found.keys) == 48 and (found.keys >= 0).all() and found.key == usual.key


def test_shares_are_probabilities():
    for table in (module.SOUND, module.FIRST_BASS):
        shares = module._shares(table)
        assert shares.shape == (len(QUALITIES), 12) and shares.sum(axis=1) == pytest.approx(1) and (shares > 0).all()
        states = module._of_states(shares)  # D minor seventh: its root is D, its third F
        state = 12 * QUALITIES.index("min7") + 2
        assert np.exp(states[state, [2, 5]]) == pytest.approx(shares[QUALITIES.index("min7"), [0, 3]])
    assert (np.array(module.SOUND)[QUALITIES.index("7"), [4, 10]] > 15).all()  # third and seventh


def test_early_strokes_belong_to_the_next_beat():
    notes = np.array([(15, 5, 60, 64, 0), (15, 2, 72, 64, 1), (16, 2, 60, 64, 0)])
    assert module.on_their_beats(notes)[:, :2].tolist() == [[16, 4], [15, 2], [16, 2]]


def test_who_is_heard_how():
    notes = played(["D:min7", "G:7"])
    assert chords_in(notes, 8, genre="pop").harte() == chords_of(notes, 8).harte()
    assert chords_in(notes, 8, genre="jazz").harte() == jazz_chords(notes, 8, shipped_harmony()).harte()


@pytest.mark.parametrize("beats", [0, 1, 3])
def test_hardly_anything(beats):
    assert len(jazz_chords(np.zeros((0, 5), dtype=int), beats, shipped_harmony())) == beats
    found = jazz_chords(np.array([(0, 4, 60, 64, 0)]), beats, shipped_harmony())
    assert len(found) == beats
