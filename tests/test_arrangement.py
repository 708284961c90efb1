"""`cover`: from a song and what is known of it to notes on its beats. Arrangers here answer what a test wants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spartito
from frame import shipped
from songs import RATE, FakeArranger, analysis, band
from spartito import arrangement
from spartito.arrangement import CoverWarning, transposed
from spartito.audio.audio import Audio
from spartito.cover_arrangers import open_arranger, usual_model, variant_name
from spartito.errors import ModelError, ParameterError
from spartito.models import arranger_input

PLAIN = {"perform": False}  # notes exactly on the grid
BARE = {**PLAIN, "melody": "omit"}  # and without the tune of the analysis


LISTEN = arranger_input.listen


@pytest.fixture(autouse=True)
def deaf(monkeypatch):
    """Without the transcriber, whose opinions the fake arrangers do not read."""
    heard = lambda samples, **_: arranger_input.Heard(np.zeros((4, len(samples) // 256, 88)), 62.5)  # noqa: E731
    monkeypatch.setattr(arranger_input, "listen", heard)


def song(duration: float = 8.0, **options):
    return Audio(band(duration), RATE, title="A Song", artist="A Band"), analysis(duration=duration, **options)


def covered(arranger=None, *, known=None, **options):
    audio, usual = song(count=16)
    return spartito.cover(audio, model=arranger or FakeArranger(), analysis=known or usual, **options)


# -- bars ---------------------------------------------------------------------------------------------------


def test_each_bar_has_its_own_prediction_and_lies_on_the_recording():
    arranger = FakeArranger([(4, 72, 2), (20, 80, 2)], conditions=1)
    notes = covered(arranger, **BARE)
    assert notes.pitch[notes.pitch < 40].tolist() == [30, 31, 32, 33]
    assert notes.onset[notes.pitch < 40] == pytest.approx([0, 2, 4, 6])
    assert notes.onset[notes.pitch == 72] == pytest.approx([0.5, 2.5, 4.5, 6.5])
    assert not (notes.pitch == 80).any()  # step 20 lies in the bar after
    assert arranger.calls[0]["frames"] == (4, 4, 132, 88) and arranger.calls[0]["chords"] == (4, 8, 36)
    clock = notes.tempo_map
    assert clock.quarters_to_seconds(4 * np.arange(4)) == pytest.approx([0, 2, 4, 6], abs=1e-3)


def test_two_bars_of_each_prediction():
    notes = covered(FakeArranger([(20, 80, 2)]), hop=2, **BARE)
    assert notes.pitch[notes.pitch < 40].tolist() == [30, 32]
    assert notes.onset[notes.pitch == 80] == pytest.approx([2.5, 6.5])


def test_three_four_and_a_pick_up():
    known = analysis(duration=8.0, metre=3, first=0.5, pick_up=1, count=15)
    notes = covered(FakeArranger([(8, 72, 2), (12, 80, 2)]), known=known, **BARE)
    assert notes.onset[notes.pitch == 72] == pytest.approx([0.5, 2.0, 3.5, 5.0, 6.5])  # the third beat of each bar
    assert not (notes.pitch == 80).any()  # there is no fourth
    assert 30 not in notes.pitch  # the downbeat of the pick-up's bar lies before the song
    assert notes.tempo_map.time_signatures[0].numerator == 3
    bars = notes.tempo_map.seconds_to_quarters(notes.onset[notes.pitch < 40]) / 3
    assert bars == pytest.approx(np.round(bars), abs=1e-3)  # every downbeat is a bar line


def test_a_change_of_tempo():
    times = np.concatenate([0.5 * np.arange(8), 4.0 + 0.4 * np.arange(8)])
    known = replace(song()[1], beats=spartito.Beats(times, np.arange(16), np.arange(16) % 4))
    notes = covered(FakeArranger([(8, 72, 2)]), known=known, **BARE)
    assert notes.onset[notes.pitch == 72] == pytest.approx([1.0, 3.0, 4.8, 6.4])
    assert notes.tempo_map.seconds_to_quarters([0.0, 4.0, 5.6]) == pytest.approx([0, 8, 12], abs=1e-3)


def test_no_note_outlasts_the_song():
    notes = covered(FakeArranger([(0, 60, 32), (15, 72, 32)]))
    assert notes.duration <= 8.0 and (notes.offset > notes.onset).all() and notes.onset.min() >= 0


# -- hands, tune, ease --------------------------------------------------------------------------------------


def test_two_hands_one_piano_with_pedal_and_dynamics():
    notes = covered(FakeArranger([(0, 48, 8), (0, 72, 4), (8, 76, 4)]))
    assert [t.name for t in notes.tracks] == ["right hand", "left hand"]
    assert {t.program for t in notes.tracks} == {0}
    assert len(set(notes.velocity)) > 1 and len(notes.pedal) > 0
    assert (notes.title, notes.composer) == ("A Song", "A Band")
    assert notes.tempo_map.key_signatures[0].fifths == 0


def test_the_same_seed_plays_the_same():
    first, again, other = (covered(FakeArranger([(3, 60, 4)]), seed=s) for s in (1, 1, 2))
    assert (first.array == again.array).all() and not (first.array == other.array).all()


def test_the_tune_is_asked_for_and_put_on_top():
    asked = FakeArranger([(4, 80, 2), (4, 60, 2)])
    included, left_out = covered(asked, **PLAIN), covered(asked, melody="omit", **PLAIN)
    assert [call["melody"] for call in asked.calls] == ["include", "omit"]
    tune = {72, 73, 74, 75, 76}
    assert tune <= set(included.pitch) and 80 not in included.pitch and 60 in included.pitch
    assert not tune & set(left_out.pitch) and {80, 60} <= set(left_out.pitch)


def test_easier_and_thinner():
    dense = FakeArranger([(s, p, 1) for s in range(16) for p in (48, 55, 64, 67, 72)])
    everything = len(covered(dense))
    assert len(covered(dense, difficulty=1)) < len(covered(dense, difficulty=4)) <= everything
    assert len(covered(dense, density=0.3)) < everything


def test_transposing():
    known = replace(song()[1], key="E:maj")
    plain, up = covered(known=known, **BARE), covered(known=known, transpose=2, **BARE)
    assert (up.pitch == plain.pitch + 2).all() and up.tempo_map.key_signatures[0].fifths == 6
    easy = covered(known=known, transpose="easy", **BARE)
    assert set(easy.pitch - plain.pitch) == {-4} and easy.tempo_map.key_signatures[0].fifths == 0
    moved = transposed(known, "easy")
    assert moved.key == "C:maj" and moved.chords[0].label == "Ab:maj"
    assert moved.melody[0, 2] == known.melody[0, 2] - 4
    assert transposed(known, 0) is known


@pytest.mark.parametrize(
    ("key", "fifths", "minor"), [("A:min", 0, 1), ("C#:min", 4, 1), ("Eb:maj", -3, 0), ("F:min", -4, 1)]
)
def test_key_signatures(key, fifths, minor):
    (signature,) = covered(known=replace(song()[1], key=key)).tempo_map.key_signatures
    assert (signature.fifths, signature.mode) == (fifths, minor)
    assert covered(known=replace(song()[1], key="")).tempo_map.key_signatures == ()


def test_other_chords(tmp_path):
    (tmp_path / "other.lab").write_text("0.0\t8.0\tF#:maj\n")
    notes = covered("chords", chords=tmp_path / "other.lab", melody="omit", **PLAIN)
    assert set(notes.pitch % 12) == {6, 10, 1}
    assert covered("chords", chords=(spartito.Chord(0, 8, "C:maj"),), melody="omit", **PLAIN).pitch.min() == 36


def test_other_chords_for_an_arranger_that_does_not_look_at_them():
    deaf = FakeArranger()
    deaf.has_chords, deaf.kind = False, "supervised"
    with pytest.warns(CoverWarning, match="supervised does not look at chords"):
        covered(deaf, chords=(spartito.Chord(0, 8, "C:maj"),), **BARE)


# -- songs of many kinds ------------------------------------------------------------------------------------


def test_silence_has_no_notes_and_does_not_crash():
    known = analysis(duration=8.0, count=16)
    known = replace(known, chords=(), melody=np.zeros((0, 3)), loudness=np.full(81, -90.0))
    assert len(spartito.cover(Audio(np.zeros(8 * RATE), RATE), model="chords", analysis=known)) == 0


def test_an_arranger_that_hears_the_stretched_song():
    pytest.importorskip("torch")
    arranger = FakeArranger([(4, 60, 2)], conditions=0)
    arranger.input = "mel"
    known = analysis(duration=8.0, first=0.4, pick_up=1, count=15)
    notes = covered(arranger, known=known, **BARE)
    assert arranger.calls[0]["frames"] == (5, 229, 153)  # the pick-up's bar and four more
    assert notes.onset[notes.pitch == 60] == pytest.approx([1.4, 3.4, 5.4, 7.4])


def test_a_blip_is_too_short_for_beats_but_no_error():
    known = analysis(duration=0.05, count=2)
    assert len(spartito.cover(Audio(band(0.05), RATE), model=FakeArranger(), analysis=known, melody="omit")) == 1


def test_a_stored_analysis_and_the_progress(tmp_path):
    audio, known = song(count=16)
    known.save(tmp_path / "a.json")
    told, timings = [], {}
    notes = spartito.cover(
        audio, model=FakeArranger(), melody="omit", analysis=tmp_path / "a.json", progress=told.append, timings=timings
    )
    assert len(notes) == 4 and told == sorted(told) and 0 < told[-1] <= 1
    assert {"listening", "arranging", "notes"} <= set(timings) and all(s >= 0 for s in timings.values())


def test_the_whole_way_with_the_shipped_ears(monkeypatch):
    if not (shipped("analyze") and shipped("transcribe-free")):
        pytest.skip("the models are not shipped")
    monkeypatch.setattr(arranger_input, "listen", LISTEN)
    notes = spartito.cover(Audio(band(6.0), RATE), model="chords")
    assert len(notes) > 4 and notes.duration <= 6.0
    arranger = FakeArranger([(4, 60, 2)])
    assert len(spartito.cover(Audio(band(6.0), RATE), model=arranger)) > 1


# -- models and options -------------------------------------------------------------------------------------


def test_which_weights():
    assert variant_name("a2s") == "a2s" and variant_name("a2s", auto=True, alt=True) == "a2s-auto"
    assert variant_name("a2s", alt=True) == "a2s-alt" and variant_name("runs/mine", auto=True) == "runs/mine-auto"
    for model, options in (
        ("supervised", {"auto": True}),
        ("supervised+kl", {"alt": True}),
        ("a2s-nochd", {"alt": True}),
        ("chords", {"auto": True}),
        (FakeArranger(), {"alt": True}),
    ):
        with pytest.raises(ParameterError):
            open_arranger(model, **options)
    with pytest.raises(ModelError, match="no-such"):
        open_arranger("no-such-arranger")
    if shipped():
        with pytest.raises(ModelError, match="arrangement"):
            open_arranger("transcribe")


def test_who_arranges_when_nobody_is_named(monkeypatch):
    assert usual_model() in ("a2s", "tokens")
    assert usual_model(of_a2s=True) == "a2s" and usual_model(of_tokens=True) == "tokens"
    asked = []

    def opened(model, **_):
        asked.append(model)
        return open_arranger(FakeArranger())

    monkeypatch.setattr(arrangement, "open_arranger", opened)
    audio, known = song(count=16)
    spartito.cover(audio, analysis=known, hop=2, **BARE)
    with pytest.raises(ParameterError, match="style"):
        spartito.cover(audio, analysis=known, controls={"density": 2}, **BARE)
    spartito.cover(audio, analysis=known, **BARE)
    assert asked == ["a2s", "tokens", usual_model()]


def test_two_models_for_songs_in_which_bars_know_their_past():
    again, first = FakeArranger(), FakeArranger()
    notes = covered((again, first), **BARE)
    assert len(notes) == 4 and len(first.calls) == 1 and len(again.calls) == 3
    assert all(call["prompt"].shape == (1, 32, 128) for call in again.calls)


def test_songs_that_go_bar_by_bar_go_together():
    audio, known = song(count=16)
    shorter = analysis(duration=4.0, count=8)
    again, first = FakeArranger(), FakeArranger()
    rules = {"model": (again, first), "analysis": [known, shorter], **BARE}
    both = spartito.cover([audio, audio], **rules)
    sizes = [call["frames"][0] for call in first.calls + again.calls]
    assert sizes == [2, 2, 1, 1]  # songs there are: the first bar, the second, and two more of the longer one
    for notes, this in zip(both, (known, shorter)):
        assert (notes.array == covered((FakeArranger(), FakeArranger()), known=this, **BARE).array).all()
    spartito.cover([audio, audio], temperature=0.5, **rules)
    assert [call["frames"][0] for call in first.calls[1:]] == [1, 1]  # a batch would mix what is drawn


@pytest.mark.parametrize(
    "options",
    [{"melody": "hum"}, {"transpose": 99}, {"transpose": "hard"}, {"temperature": -1.0}, {"batch_size": 0}, {"hop": 3}],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ParameterError):
        covered(**options)
