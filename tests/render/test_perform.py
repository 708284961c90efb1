"""Performing: the original's rules by hand, and what the default must and must not do."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.analysis.beats import beats_from_times, with_beats
from spartito.analysis.song import Analysis, Chord
from spartito.errors import ParameterError
from spartito.notes.midi import midi_bytes, parse_midi
from spartito.notes.notes import SUSTAIN, Notes, Track
from spartito.notes.two_hands import in_two_hands
from spartito.render.perform import MOST, compat_loudness, perform

RATE = 22050


def analysis(*, chords=("C:maj", "C:maj", "F:maj", "C:maj"), loudness=(), melody=(), bars=4):
    """Four bars of 4/4 at 120 per minute from second 0.5 on, a chord to each bar."""
    times = 0.5 + 0.5 * np.arange(4 * bars)
    names = tuple(Chord(0.5 + 2 * i, 2.5 + 2 * i, name) for i, name in enumerate(chords))
    return Analysis(
        duration=0.5 + 2 * bars + 0.4,
        beats=beats_from_times(times, np.arange(4 * bars) % 4, numerator=4, denominator=4),
        chords=names,
        loudness=np.array(loudness, dtype=float),
        melody=np.array(melody, dtype=float).reshape(-1, 3),
    )


def arrangement(bars=4):
    """A tune in crotchets over triads on each beat and a bass note on each half bar."""
    rows = []
    for beat in range(4 * bars):
        time = 0.5 + 0.5 * beat
        rows += [(time, time + 0.45, p) for p in (60, 64, 76 + beat % 3)]
        if beat % 2 == 0:
            rows.append((time, time + 0.9, 40))
    onset, offset, pitch = np.array(rows).T
    return Notes.from_arrays(onset, offset, pitch)


# -- the original's rules -----------------------------------------------------------------------------------


def test_compat_loudness_by_hand():
    samples = np.zeros(10 * RATE)
    samples[4 * RATE : 5 * RATE] = 1.0  # one second, from 4 to 5
    curve = compat_loudness(samples)
    assert len(curve) == 2 * 11 + 1
    assert curve[:3] == pytest.approx(0.0)  # up to 1 s: the window [t - 3, t + 3) ends before 4 s
    assert curve[3] == pytest.approx(0.5, abs=1e-4)  # 1.5 s: half of it
    assert curve[4:15] == pytest.approx(1.0)
    assert curve[15] == pytest.approx(0.5, abs=1e-4)
    assert curve[16:] == pytest.approx(0.0)
    assert not compat_loudness(np.zeros(RATE)).any()
    with pytest.raises(ParameterError, match="22050"):
        compat_loudness(samples, rate=44100)


def test_compat_velocities_by_hand():
    notes = Notes.from_arrays([0.5, 1.0, 1.25, 1.5, 2.5], [3.0] * 5, [47, 48, 69, 70, 60])
    curve = np.array([0.0, 0.5, 1.0, 0.25, 0.0, 1.0])
    played = perform(notes, analysis(), compat=True, loudness_curve=curve)
    # base by register, beats 0, 1, 1.5, 2, 0 of the bar; curve entries round(2 t) = 1, 2, 2 (2.5 to even), 3, 5
    by_hand = [85 + 3 - 6 + 4.5, 80 + 0 - 6 + 9, 80 - 3 - 6 + 9, 85 + 3 - 6 + 2.25, 80 + 3 - 6 + 9]
    assert played.velocity.tolist() == [int(v) for v in by_hand] == [86, 83, 80, 84, 86]
    assert np.array_equal(played.onset, notes.onset) and np.array_equal(played.offset, notes.offset)


def test_compat_takes_places_in_the_segment():
    notes = Notes.from_arrays([0.5, 1.0], [1.0, 2.0], [60, 60])
    played = perform(notes, analysis(), compat=True, loudness_curve=np.zeros(5), onset_beats=[4.25, 6.0])
    assert played.velocity.tolist() == [80 - 3 - 6, 80 + 3 - 6]
    with pytest.raises(ParameterError, match="2 notes"):
        perform(notes, analysis(), compat=True, loudness_curve=np.zeros(5), onset_beats=[1.0])


def test_compat_pedal_by_hand():
    played = perform(arrangement(), analysis(), compat=True, loudness_curve=np.zeros(5))
    controls = played.tracks[0].controls
    # second 0 and the end of the file (no chord there), C on the first beat, F at 4.5, C at 6.5
    changes = [0.0, 0.5, 4.5, 6.5, 8.9]
    assert controls["time"].tolist() == pytest.approx(sorted([*changes, *(t + 0.01 for t in changes)]))
    assert controls["value"].tolist() == [0, 80] * 5
    assert (controls["number"] == SUSTAIN).all()
    silent = perform(arrangement(), analysis(), compat=True, loudness_curve=np.zeros(5), pedal=False)
    assert len(silent.tracks[0].controls) == 0


def test_compat_needs_the_accompaniment():
    with pytest.raises(ParameterError, match="compat_loudness"):
        perform(arrangement(), analysis(), compat=True)


# -- the default --------------------------------------------------------------------------------------------


def test_the_melody_is_voiced_above_the_bass_above_the_inner_notes():
    played = perform(arrangement(), analysis(), humanise=0.0)
    melody, bass = played.velocity[played.pitch >= 76], played.velocity[played.pitch == 40]
    inner = played.velocity[(played.pitch == 60) | (played.pitch == 64)]
    assert melody.min() > bass.max() > inner.max()


def test_metrical_accents():
    notes = Notes.from_arrays([0.5, 1.0, 1.25, 1.5], [0.9, 1.2, 1.4, 2.0], [72] * 4)
    down, beat, off, half = perform(notes, analysis(), humanise=0.0).velocity
    assert down > half > beat > off


def test_velocity_follows_the_song():
    soft_then_loud = np.where(np.arange(90) < 45, -30.0, -18.0)
    played = perform(arrangement(), analysis(loudness=soft_then_loud), humanise=0.0)
    flat = perform(arrangement(), analysis(), humanise=0.0)
    change = played.velocity.astype(int) - flat.velocity
    assert change[played.onset < 3].max() < change[played.onset > 6].min() - 10
    silent = perform(arrangement(), analysis(loudness=np.full(90, -np.inf)), humanise=0.0)
    assert np.array_equal(silent.velocity, flat.velocity)


def test_given_dynamics_shine_through():
    notes = arrangement()
    array = notes.array.copy()
    array["velocity"] = np.where(array["onset"] < 4.5, 50, 90)
    played = perform(notes.with_array(array), analysis(), humanise=0.0)
    flat = perform(notes, analysis(), humanise=0.0)
    change = played.velocity.astype(int) - flat.velocity
    assert change[played.onset < 4.5].max() < 0 < change[played.onset >= 4.5].min()


def test_timing_is_free_within_bounds():
    notes = arrangement()
    played = perform(notes, analysis(), humanise=2.0, seed=3)
    early = {(p, round(o * 2)): o for p, o in zip(played.pitch, played.onset)}
    moves = np.array([early[p, round(o * 2)] - o for p, o in zip(notes.pitch, notes.onset)])
    assert 0.001 < np.abs(moves).max() <= MOST + 1e-9
    lead = moves[notes.pitch >= 76].mean() - moves[notes.pitch == 60].mean()
    assert -0.03 < lead < -0.005  # the melody comes first
    assert (played.offset > played.onset).all()


def test_a_key_never_overtakes_itself_and_nothing_comes_before_second_0():
    onset = np.concatenate([[0.0, 0.005], 0.3 + 0.004 * np.arange(200)])
    notes = Notes.from_arrays(onset, onset + 0.004, 60)
    for seed in range(5):
        played = perform(notes, analysis(), humanise=2.0, seed=seed)
        assert played.onset[0] >= 0
        assert (np.diff(played.onset) > 0).all()
        assert (played.offset[:-1] <= played.onset[1:] + 1e-12).all()
        assert (played.offset > played.onset).all()


def test_seeds():
    first, again, other = (perform(arrangement(), analysis(), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.array, again.array)
    assert not np.array_equal(first.onset, other.onset)
    still = perform(arrangement(), analysis(), humanise=0.0)
    assert np.array_equal(still.onset, arrangement().onset) and np.array_equal(still.offset, arrangement().offset)
    with pytest.raises(ParameterError):
        perform(arrangement(), analysis(), humanise=3.0)


def test_legato_pedal():
    played = perform(arrangement(), analysis(), humanise=0.0)
    pedal = played.pedal
    bars = np.arange(0.5, 8.0, 1.0)  # the bass is struck on every half bar
    assert len(pedal) == 8
    assert (pedal[:, 0] > bars).all() and (pedal[:, 0] < bars + 0.25).all()
    assert (pedal[:-1, 1] > bars[1:]).all() and (pedal[:-1, 1] < pedal[1:, 0]).all()  # up after the new chord is struck
    assert pedal[-1, 1] == pytest.approx(played.duration + 1.0)


def test_the_pedal_is_changed_with_harmony_and_bar():
    tune = arrangement().select(arrangement().pitch >= 76)  # no bass
    assert len(perform(tune, analysis(), humanise=0.0).pedal) == 4
    chords = tuple(Chord(0.5 + i, 1.5 + i, ("C:maj", "G:maj")[i % 2]) for i in range(8))
    both = Analysis(duration=9.0, beats=analysis().beats, chords=chords)
    assert len(perform(tune, both, humanise=0.0).pedal) == 8


def test_the_pedal_is_not_changed_where_nothing_is_struck():
    notes = Notes.from_arrays([0.5, 0.5, 6.5], [6.4, 6.4, 8.0], [48, 72, 60])
    assert len(perform(notes, analysis(), humanise=0.0).pedal) == 2


def test_a_long_rest_lifts_the_pedal():
    notes = Notes.from_arrays([0.5, 7.5], [1.0, 8.0], [60, 60])
    pedal = perform(notes, analysis(), humanise=0.0).pedal
    assert pedal[0, 1] == pytest.approx(2.0) and len(pedal) == 2


def test_two_hands_and_drums():
    hands = in_two_hands(arrangement())
    played = perform(hands, analysis(), seed=1)
    assert all(len(t.controls) == len(played.tracks[0].controls) > 0 for t in played.tracks)
    one = perform(arrangement(), analysis(), seed=1)
    assert np.array_equal(one.onset, played.onset) and np.array_equal(one.velocity, played.velocity)
    kit = Notes.from_arrays([0.5, 0.5], [1, 1], [60, 36], 77, track=[0, 1], tracks=(Track(), Track(is_drum=True)))
    out = perform(kit, analysis(), seed=1)
    drum = out.array[out.array["track"] == 1][0]
    assert (drum["onset"], drum["velocity"]) == (0.5, 77) and len(out.tracks[1].controls) == 0


def test_beats_alone_will_do_and_nothing_is_nothing():
    given = analysis()
    assert len(perform(arrangement(), given.beats)) == len(arrangement())
    assert len(perform(Notes(), given)) == 0
    drums = Notes.from_arrays([0.5], [1.0], [36], tracks=(Track(is_drum=True),))
    assert perform(drums, given) is drums


def test_it_survives_a_midi_file_with_its_bars():
    given = analysis()
    played = with_beats(perform(arrangement(), given, seed=4), given.beats)
    back = parse_midi(midi_bytes(played))
    assert np.abs(np.sort(back.onset) - np.sort(played.onset)).max() < 0.001
    assert len(back.pedal) == len(played.pedal)
    # every tracked downbeat is a bar line
    quarters = back.tempo_map.seconds_to_quarters(given.downbeats)
    assert np.abs(np.diff(quarters) - 4).max() < 0.01


def test_velocities_that_an_arranger_wrote_are_kept_whole():
    notes = arrangement()
    array = notes.array.copy()
    array["velocity"] = np.where(array["pitch"] == 60, 70, 60)
    written = notes.with_array(array)
    flat, half, whole = (
        perform(x, analysis(), humanise=0.0, given=share).velocity.astype(int)
        for x, share in ((notes, 0.5), (written, 0.5), (written, 1.0))
    )
    inner = notes.pitch == 60
    for velocity, apart in ((half, 5), (whole, 10)):
        moved = velocity - flat
        assert moved[inner].mean() - moved[~inner].mean() == pytest.approx(apart, abs=0.6)
    with pytest.raises(ParameterError, match="share"):
        perform(notes, analysis(), given=2.0)
