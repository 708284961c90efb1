import numpy as np
import pytest

from spartito.training.band_lines import bass_by_pattern, bass_by_walking, comp, drums, lowest_of
from spartito.training.band_patterns import (
    BASS_LINES,
    COMPING,
    GROOVES,
    INSTRUMENTS,
    KICK,
    PIANOS,
    SNARE,
    of_split,
)
from spartito.training.data.pop909 import PopSong, bars_of, chord_rows
from spartito.training.orchestrate import bends, orchestrate, triplet_share

BARS = 16
RNG = np.random.default_rng


def song(*, beats_per_bar=4, bars=BARS) -> PopSong:
    """Half a second a beat; by turns a bar of C and of A minor over E; piano in eighths, melody in quarters."""
    n = bars * beats_per_bar
    beats = 0.5 * np.arange(n + 1)
    positions, lengths = bars_of(np.arange(0, n + 1, beats_per_bar), n + 1)
    bar = 0.5 * beats_per_bar
    chords = tuple((i * bar, (i + 1) * bar, ("C:maj", "A:min/5")[i % 2]) for i in range(bars))
    eighths = 0.25 * np.arange(2 * n)
    piano = np.column_stack([eighths, eighths + 0.2, np.tile([48, 64], n), np.full(2 * n, 70)])
    melody = np.column_stack([beats[:n], beats[:n] + 0.4, 67 + np.arange(n) % 5, np.full(n, 90)])
    keys = ((0.0, n / 2, "C:maj"),)
    return PopSong("001", melody, melody[::4] + np.array([0, 0, 5, 0]), piano, beats, positions, lengths, chords, keys)


def tracks_of(band, role):
    wanted = [i for i, r in enumerate(band.roles) if r == role]
    return band.notes.array[np.isin(band.notes.array["track"], wanted)]


def test_the_same_seed_gives_the_same_band():
    one, two, other = (orchestrate(song(), [5, s]) for s in (1, 1, 2))
    assert one.plan == two.plan and (one.notes.array == two.notes.array).all()
    assert other.plan != one.plan


def test_bands_of_the_test_share_no_pattern_with_those_of_training():
    heard = {"train": set(), "test": set()}
    for split in heard:
        for seed in range(40):
            plan = orchestrate(song(), [3, seed], split=split).plan
            heard[split] |= {plan["groove"], plan["bass"], *plan["comping"]} - {None}
    assert heard["train"].isdisjoint(heard["test"])
    assert all(name.startswith("test-") for name in heard["test"])
    for table in (GROOVES, BASS_LINES, COMPING):
        assert of_split(table, "train").keys().isdisjoint(of_split(table, "test"))
        assert of_split(table, "train").keys() == of_split(table, "validation").keys()


def test_patterns_fill_their_bars():
    for groove in GROOVES.values():
        assert {len(lane) for lane in groove.lanes.values()} == {groove.beats * groove.steps}
        assert all(set(lane) <= set("Xxo.") for lane in groove.lanes.values())
    assert all(len(line) in (0, 16) and set(line) <= set("R583A-.") for line in BASS_LINES.values())
    assert all(len(line) == 16 and set(line) <= set("XxBU123456-.") for line in COMPING.values())
    assert not any(set(PIANOS) & set(pool) for pool in INSTRUMENTS.values())


def test_about_half_of_the_bands_have_no_piano_and_the_record_is_true():
    plans = []
    for seed in range(60):
        band = orchestrate(song(), [9, seed])
        pianos = [t for t in band.notes.tracks if not t.is_drum and t.program in PIANOS]
        assert bool(pianos) == band.plan["piano_in_band"]
        plans.append(band.plan)
    assert 0.3 < np.mean([p["piano_in_band"] for p in plans]) < 0.65
    assert 0.3 < np.mean([p["copies_piano"] for p in plans]) < 0.7
    assert 0.6 < np.mean([p["groove"] is not None for p in plans]) < 1.0
    assert 0.6 < np.mean([p["lead"] is not None for p in plans]) < 1.0


@pytest.mark.parametrize("beats_per_bar", [3, 4])
def test_people_play_within_a_few_milliseconds(beats_per_bar):
    piece = song(beats_per_bar=beats_per_bar)
    for seed in range(12):
        band = orchestrate(piece, [1, seed])
        lead = np.concatenate([tracks_of(band, "lead"), tracks_of(band, "voice")])
        if len(lead):
            late = lead["onset"] - piece.melody[:, 0]
            assert len(lead) == len(piece.melody) and np.abs(late).max() <= 0.025 and np.abs(np.median(late)) < 0.008
            assert (lead["pitch"] == piece.melody[:, 2] + band.octave).all()
        struck = tracks_of(band, "drums")
        if len(struck):
            steps = GROOVES[band.plan["groove"]].steps
            distance = np.mod(struck["onset"] * 2 * steps + 0.5, 1.0) - 0.5
            assert np.abs(distance / (2 * steps)).max() <= 0.0151
            assert GROOVES[band.plan["groove"]].beats == beats_per_bar
        if len(band.notes):
            assert band.notes.velocity.min() >= 1 and band.notes.velocity.max() <= 127
            assert (band.notes.offset > band.notes.onset).all()


def test_a_rock_beat_has_kick_and_snare_where_they_belong():
    piece = song(bars=4)
    always, never = np.ones(len(piece.beats), dtype=bool), np.zeros(len(piece.beats), dtype=int)
    groove = GROOVES["rock-8"]
    played = drums([groove, groove], piece, never, always, never, RNG(0))
    kick, snare = (played[played[:, 2] == key][:, 0] for key in (KICK, SNARE))
    np.testing.assert_allclose(snare, np.arange(8) + 0.5)  # beats two and four, half a second each
    np.testing.assert_allclose(kick[:3], [0.0, 1.0, 1.25])
    silent = drums([groove, groove], piece, never, ~always, never, RNG(1))
    assert not np.isin(silent[:, 2], (KICK, SNARE)).any()


def test_bass_plays_roots_fifths_and_inversions():
    piece = song(bars=2)
    rows = chord_rows(piece.chords, piece.beats)
    line = bass_by_pattern("R-------5-------", rows, piece, RNG(0), floor=28)
    np.testing.assert_allclose(line[:4, 0], [0.0, 1.0, 2.0, 3.0])
    assert line[:4, 2].tolist() == [36, 31, 28, 28]  # C and its G; A minor over E, whose fifth is E, too
    held = bass_by_pattern("R---------------", rows, piece, RNG(0), floor=28)
    assert held[:2, 2].tolist() == [36, 28] and len(held) == 2


def test_a_walking_bass_takes_a_step_a_beat():
    piece = song(bars=4)
    rows = chord_rows(piece.chords, piece.beats)
    line = bass_by_walking(rows, piece, RNG(0), floor=28)
    np.testing.assert_allclose(line[:, 0], piece.beats[:16])
    assert line[::4, 2].tolist() == [36, 28, 36, 28]


def test_the_bass_can_follow_the_piano():
    line = lowest_of(song().piano, song().beats, floor=28)
    assert (line[:, 2] == 36).all() and len(line) == 64  # 48 an octave down, once a beat


def test_chords_are_played_with_their_notes_only():
    piece = song(bars=4)
    rows = chord_rows(piece.chords, piece.beats)
    for style in COMPING.values():
        table = comp(style, rows, piece, RNG(3), program=4)
        beat = np.clip((table[:, 0] / 0.5 + 1e-6).astype(int), 0, len(rows) - 1)
        assert rows[beat, 1 + table[:, 2].astype(int) % 12].all()
        assert (table[:, 1] > table[:, 0]).all() and len(table)
    silent = comp("X---X---X---X---", chord_rows([(0.0, 99.0, "N")], piece.beats), piece, RNG(3), program=4)
    assert len(silent) == 0


def test_bends_begin_below_and_come_to_the_note():
    table = np.array([[1.0, 2.0], [2.0, 2.2]])
    moves = bends(table, 0.0, RNG(4))
    assert moves["time"][0] == pytest.approx(0.998) and (np.diff(moves["time"]) > 0).all()
    assert np.abs(moves["value"]).max() <= 110 / 200 * 8192
    assert len(bends(np.zeros((0, 2)), 0.0, RNG(4))) == 0


def test_triplets_are_told_from_sixteenths():
    straight, swung = song(), song()
    swung.piano[1::2, 0] = swung.piano[::2, 0] + 1 / 3
    assert triplet_share(straight) == 0.0 and triplet_share(swung) == 1.0
