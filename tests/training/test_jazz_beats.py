"""The tracker of jazz time on made-up performances whose beats are known."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from jazz import swung
from spartito.errors import NotesError
from spartito.notes.notes import Notes
from spartito.training.data.pijama import steady_regions
from spartito.training.jazz_beats import downbeat_evidence, fold_strength, track_jazz


def test_swing_at_140_is_found_with_its_downbeats():
    notes, times = swung()
    beats = track_jazz(notes)
    assert mir_eval.beat.f_measure(times, beats.times) > 0.97
    assert mir_eval.beat.f_measure(times[::4], beats.times[beats.positions == 0], f_measure_threshold=0.07) > 0.95
    assert np.median(beats.fit) > 0.8 and np.median(beats.even) < 0.02 and beats.four > 3
    regions = steady_regions(beats)
    assert np.diff(regions).sum() >= 24 * 16


@pytest.mark.parametrize("tempo", [90.0, 200.0])
def test_other_tempos(tempo):
    notes, times = swung(tempo=tempo)
    assert mir_eval.beat.f_measure(times, track_jazz(notes).times) > 0.95


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_played_freely_is_refused(seed):
    rng = np.random.default_rng(seed)
    onset = 1.0 + np.cumsum(rng.gamma(2.0, 0.18, 500))  # s, without any pulse
    notes = Notes.from_arrays(onset, onset + 0.8, rng.integers(36, 84, 500), 60)
    assert not len(steady_regions(track_jazz(notes)))


def test_a_waltz_is_refused():
    notes, _ = swung(beats=3, bars=48)
    assert not len(steady_regions(track_jazz(notes)))


def test_evidence_folds_in_bars_of_its_own_length():
    notes, times = swung()
    evidence = downbeat_evidence(times, notes)
    assert np.argmax(evidence[: 4 * 32].reshape(32, 4).mean(axis=0)) == 0
    assert fold_strength(evidence, 4) > 3 * fold_strength(evidence, 3)


def test_too_little_music_is_refused():
    with pytest.raises(NotesError, match="16 notes"):
        track_jazz(Notes.from_arrays([0.0, 5.0], [0.5, 5.5], [60, 62]))
