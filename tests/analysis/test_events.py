"""Features of chords, against values worked out by hand."""

from __future__ import annotations

import numpy as np

from spartito.analysis.events import FEATURES, find_events
from spartito.notes.notes import Notes

COLUMN = {name: i for i, name in enumerate(FEATURES)}


def test_two_chords_by_hand():
    notes = Notes.from_arrays([0, 0.01, 1.0], [0.5, 1.5, 1.2], [60, 48, 72], [64, 32, 80])
    events = find_events(notes)
    assert events.group.tolist() == [0, 0, 1]
    assert np.allclose(events.times, [0.005, 1.0])

    def column(name):
        return events.features[:, COLUMN[name]]

    assert np.allclose(column("interval after"), np.log([0.995, 4.0]), atol=1e-6)
    assert np.allclose(column("interval before"), np.log([4.0, 0.995]), atol=1e-6)
    assert np.allclose(column("notes"), np.log([2, 1]))
    assert np.allclose(column("loudest against neighbours"), [-0.5, 0.5])
    assert np.allclose(column("sum of loudness"), np.log([1.5, 1.25]))
    assert np.allclose(column("lowest pitch"), [0, 2])
    assert np.allclose(column("longest"), np.log([1.49, 0.2]))
    assert np.allclose(column("length of the lowest"), np.log([1.49, 0.2]))
    assert column("bass within half a second").tolist() == [1, 1]
    assert column("bass within a second and a half").tolist() == [1, 0]
    assert column("lowest held on").tolist() == [1, 0]
    assert column("pedal known").tolist() == [0, 0]


def test_pedal_and_harmony():
    notes = Notes.from_arrays(np.arange(8) * 0.5, np.arange(8) * 0.5 + 0.4, [60, 64, 67, 60, 61, 65, 68, 61])
    notes = notes.with_pedal([[2.1, 3.0]])
    features = find_events(notes).features
    assert features[:, COLUMN["pedal"]].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    change = features[:, COLUMN["change of harmony, two seconds"]]
    assert change[4] == change.max() and np.isclose(change[4], 1.0)  # C major to D flat major


def test_one_note_and_many():
    assert find_events(Notes.from_arrays([1.0], [2.0], [60])).features.shape == (1, len(FEATURES))
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, 60, 2000))
    features = find_events(Notes.from_arrays(onset, onset + 0.1, rng.integers(21, 109, 2000))).features
    assert np.isfinite(features).all()


def test_bass_against_a_plain_search():
    rng = np.random.default_rng(5)
    onset = np.cumsum(rng.uniform(0.09, 0.5, 100))
    pitch = rng.integers(30, 90, 100)
    bass = find_events(Notes.from_arrays(onset, onset + 0.1, pitch)).features[
        :, COLUMN["bass within a second and a half"]
    ]
    plain = [pitch[i] <= pitch[np.abs(onset - onset[i]) <= 1.5].min() for i in range(100)]
    assert bass.astype(bool).tolist() == plain
