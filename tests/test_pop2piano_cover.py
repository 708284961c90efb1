"""`cover` with Pop2Piano: composers and guards with a generator that says what it should; note by note as the port."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import spartito
import tiny_pop2piano as tiny
from frame import run_cli
from songs import RATE, analysis, band, fake_analyze, write_song
from spartito import cover_variants, outputs_songs, pop2piano_cover
from spartito.arrangement import CoverWarning
from spartito.audio.audio import Audio
from spartito.cover_arrangers import Piece, Wish, open_arranger
from spartito.cover_styles import StylePlan, parse_styles
from spartito.errors import ModelError, ParameterError
from spartito.models import pop2piano
from spartito.models.pop2piano import Pop2Piano
from spartito.models.pop2piano_tokens import encode
from spartito.pop2piano_cover import Pop2PianoArranger

NAMES = {"composer1": 0, "composer2": 1, "composer3": 2}
PLAIN = {"perform": False}


def watch(stage, work):
    return work(lambda part: None)


class FakeGenerator:
    """Writes `notes` ((n, 3) onset, offset, pitch) for every segment, the pitch moved by the composer's row."""

    def __init__(self, notes=((0, 2, 60),)):
        self.notes, self.calls = np.array(notes).reshape(-1, 3), []

    def generate(self, features, mask, composers, **options):
        self.calls.append((features, mask, composers, options))
        rows = [encode(self.notes + np.array([0, 0, composer])) for composer in composers]
        tokens = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        for row, words in zip(tokens, rows, strict=True):
            row[: len(words)] = words
        return tokens


def arranger(*notes, compat: bool = False) -> Pop2PianoArranger:
    return Pop2PianoArranger(Pop2Piano("fake", NAMES, FakeGenerator(notes or ((0, 2, 60),)), compat))


def song(duration: float = 8.0, **options) -> tuple[Audio, spartito.Analysis]:
    return Audio(band(duration), RATE), analysis(duration=duration, count=options.pop("count", 16), **options)


def covered(model, *, known=None, **options):
    audio, usual = song()
    return spartito.cover(audio, model=model, analysis=known or usual, **{**PLAIN, **options})


# -- on the song --------------------------------------------------------------------------------------------


def test_notes_lie_on_the_beats():
    notes = covered(arranger([1, 3, 60], [6, 8, 64]))
    assert notes.onset[notes.pitch == 60] == pytest.approx([0.25, 2.25, 4.25, 6.25])
    assert notes.offset[notes.pitch == 60] == pytest.approx([0.75, 2.75, 4.75, 6.75])
    assert notes.onset[notes.pitch == 64] == pytest.approx([1.5, 3.5, 5.5, 7.5])
    assert notes.tempo_map.quarters_to_seconds(4 * np.arange(4)) == pytest.approx([0, 2, 4, 6], abs=1e-3)


def test_segments_begin_with_the_first_beat_in_the_recording():
    known = analysis(duration=8.0, first=0.4, count=14)
    assert covered(arranger(), known=known).onset[:2] == pytest.approx([0.4, 2.4])
    early = replace(known, beats=spartito.Beats(known.beats.times - 0.6, known.beats.quarters, known.beats.positions))
    assert covered(arranger(), known=early).onset[:2] == pytest.approx([0.3, 2.3])  # that at -0.2 s is left out


def test_where_segments_meet_a_key_is_not_struck_while_it_is_down():
    held = arranger([0, 12, 60])  # over the limit of its segment by two beats
    notes = covered(held)
    assert notes.offset[:3] == pytest.approx(notes.onset[1:4])
    port = covered(arranger([0, 12, 60], compat=True))
    assert port.offset[:3] == pytest.approx(notes.onset[:3] + 3.0)  # as the port writes them
    assert len(port.tracks) == 1 and set(port.velocity.tolist()) == {77}
    assert port.tempo_map.quarters_to_seconds(4 * np.arange(4)) == pytest.approx([0, 2, 4, 6], abs=1e-3)


def test_all_that_comes_after_is_as_with_other_arrangers():
    notes = spartito.cover(song()[0], model=arranger([0, 2, 40], [1, 2, 72]), analysis=song()[1], transpose=2)
    assert {track.name for track in notes.tracks} == {"right hand", "left hand"}
    assert set(notes.pitch.tolist()) == {42, 74} and np.ptp(notes.velocity) > 0 and len(notes.pedal)


# -- composers ----------------------------------------------------------------------------------------------


def test_one_composer_and_one_for_each_section():
    assert set(covered(arranger()).pitch.tolist()) == {60}
    assert set(covered(arranger(), style="composer3").pitch.tolist()) == {62}
    assert covered(arranger(), style="composer1@1,composer3@3").pitch.tolist() == [60, 60, 62, 62]
    assert covered(arranger(), style="composer1@1,composer2@0:04").pitch.tolist() == [60, 60, 61, 61]
    with pytest.raises(ParameterError, match="no composer 'composer22'"):
        covered(arranger(), style="composer22")


def test_all_composers_of_all_songs_at_once():
    model = arranger()
    plans = parse_styles("all", model.styles, word=model.style_word)
    pieces = [Piece(*song(8.0)), Piece(*song(5.0, beat=0.6, count=8))]
    jobs = [(piece, Wish(style=plan)) for piece in pieces for plan in plans]
    found = model.arrange_songs(jobs, watch)
    ((features, mask, composers, options),) = model.model.generator.calls
    assert len(features) == 3 * (5 + 3) and options["full_vocabulary"] is False
    assert np.bincount(composers).tolist() == [8, 8, 8]
    assert mask.sum(axis=1).tolist() == [1 + int(2.4 * RATE) // 1024] * 9 + [1 + int(2.0 * RATE) // 1024] * 15
    assert (features[~mask] == 0).all()
    assert [set(notes.pitch.tolist()) for notes in found] == [{60}, {61}, {62}] * 2
    for job, notes in zip(jobs, found, strict=True):
        (alone,) = model.arrange_songs([job], watch)
        assert np.array_equal(alone.array, notes.array)


def test_a_list_of_songs():
    songs, known = zip(song(8.0), song(5.0, beat=0.6, count=8))
    model = arranger()
    found = spartito.cover(list(songs), model=model, analysis=list(known), style="composer2")
    assert [len(call[0]) for call in model.model.generator.calls] == [8]
    for one, about, notes in zip(songs, known, found, strict=True):
        alone = spartito.cover(one, model=arranger(), analysis=about, style="composer2")
        assert np.array_equal(alone.array, notes.array) and len(notes)
    with pytest.raises(ParameterError, match="2 songs need a list of as many analyses"):
        spartito.cover(list(songs), model=model, analysis=known[0])
    with pytest.raises(ParameterError, match="original: of one song"):
        spartito.cover(list(songs), model=model, original=songs[0])


def test_a_style_for_each_of_several_songs():
    audio, known = song()
    piece = Piece(audio, known)
    found = spartito.cover([piece, piece, piece], model=arranger(), style=["composer3", None, "composer2"], **PLAIN)
    assert [set(notes.pitch.tolist()) for notes in found] == [{62}, {60}, {61}]
    with pytest.raises(ParameterError, match="2 styles is for a list of as many songs"):
        spartito.cover(piece, model=arranger(), style=["composer1", "composer2"])
    with pytest.raises(ParameterError, match="no composer 'composer22'"):
        spartito.cover([piece], model=arranger(), style=["composer22"])


def test_small_batches():
    model = arranger()
    covered(model, batch_size=2)
    assert [len(call[0]) for call in model.model.generator.calls] == [2, 2, 1]


def test_a_song_is_heard_once_for_all_composers(monkeypatch):
    piece, times = Piece(*song()), []
    monkeypatch.setattr(Piece, "samples", lambda self, rate, real=Piece.samples: times.append(rate) or real(self, rate))
    for name in NAMES:
        spartito.cover(piece, model=arranger(), style=name, **PLAIN)
    assert times == [22_050]


# -- guards -------------------------------------------------------------------------------------------------


def test_stereo_and_other_rates_are_no_matter():
    audio, known = song()
    stereo = Audio(np.stack([audio.samples[0]] * 2), RATE)
    other = Audio(np.repeat(audio.samples[0], 2), 2 * RATE)
    for source in (stereo, other):
        model = arranger()
        spartito.cover(source, model=model, analysis=known, **PLAIN)
        assert model.model.generator.calls[0][0].shape == (5, 44, 512)


def test_silence_has_no_notes():
    silent = Audio(np.zeros(8 * RATE, dtype=np.float32), RATE)
    model = arranger()
    notes = spartito.cover(silent, model=model, analysis=replace(song()[1], loudness=np.full(81, -120.0)), **PLAIN)
    assert len(notes) == 0 and not model.model.generator.calls


def test_too_few_beats():
    audio, known = song()
    few = replace(known, beats=spartito.Beats([3.0, 3.5], [0, 1], [0, 1]))
    with pytest.warns(CoverWarning, match="2 beats are too few to go by: an even grid of 120 beats a minute"):
        notes = spartito.cover(audio, model=arranger(), analysis=few, **PLAIN)
    assert notes.onset == pytest.approx([3.0, 5.0, 7.0])


def test_what_it_cannot_do():
    for options in ({"temperature": 0.5}, {"hop": 2}, {"controls": "density=3"}, {"like": covered(arranger())}):
        with pytest.raises(ParameterError, match="Pop2Piano knows composers and nothing else"):
            covered(arranger(), **options)
    with pytest.warns(CoverWarning, match="always plays the tune"):
        covered(arranger(), melody="omit")


# -- the model of random weights ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch = pytest.importorskip("torch", reason="Pop2Piano needs torch (extra pop2piano)")
    pytest.importorskip("transformers", reason="Pop2Piano needs transformers (extra pop2piano)")
    torch.set_num_threads(1)
    return tiny.saved(tmp_path_factory.mktemp("hub") / "pop2piano")


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(pop2piano, "MAX_LENGTH", tiny.LENGTH)


def uneven(count: int, seed: int) -> np.ndarray:
    return 0.2 + np.cumsum(np.random.default_rng(seed).uniform(0.4, 0.6, count))


def with_beats(seconds: float, times: np.ndarray) -> Piece:
    known = analysis(duration=seconds, count=8)
    return Piece(
        Audio(band(seconds), RATE),
        replace(known, beats=spartito.Beats(times, np.arange(len(times)), np.arange(len(times)) % 4)),
    )


def ours(notes: spartito.Notes) -> np.ndarray:
    rows = [(n["onset"], n["offset"], n["pitch"], n["velocity"]) for n in notes.array]
    return np.array(sorted(rows, key=lambda n: (round(n[0], 6), n[2], n[1]))).reshape(-1, 4)


def by_the_port(network, pieces, composer: str, tokenizer, *, batched: bool):
    """Notes of each piece by the processor and the model of `transformers`, told our beats."""
    heard = tiny.heard_by_the_port([(p.samples(RATE), p.song.beats.times) for p in pieces], batched=batched)
    mask = {"attention_mask": heard["attention_mask"]} if batched else {}
    tokens = network.generate(heard["input_features"].clone(), composer=composer, **mask)
    return [tiny.table(midi) for midi in tokenizer.batch_decode(tokens, heard)["pretty_midi_objects"]]


def test_note_by_note_as_the_port(folder, short, tmp_path):
    from transformers import Pop2PianoForConditionalGeneration

    network = Pop2PianoForConditionalGeneration.from_pretrained(folder)
    tokenizer = tiny.tokenizer(tmp_path)
    pieces = [with_beats(5.0, uneven(8, 0)), with_beats(7.0, uneven(11, 1)), with_beats(4.0, uneven(6, 2))]
    plan = StylePlan.of("composer7")
    for generator in ("fast", "transformers"):
        model = open_arranger(folder, compat=True, generator=generator, device="cpu")
        found = [ours(notes) for notes in model.arrange_songs([(p, Wish(style=plan)) for p in pieces], watch)]
        for piece, notes in zip(pieces, found, strict=True):
            (expected,) = by_the_port(network, [piece], "composer7", tokenizer, batched=False)
            assert len(expected) > 5 and notes.shape == expected.shape
            assert notes == pytest.approx(expected, abs=1e-6)
    for expected, notes in zip(by_the_port(network, pieces[:2], "composer7", tokenizer, batched=True), found[:2]):
        assert notes == pytest.approx(expected, abs=1e-6)  # the port's own batch of two
    with pytest.raises(ValueError):  # of three it cannot read
        by_the_port(network, pieces, "composer7", tokenizer, batched=True)


def test_by_name_of_a_folder(folder, short):
    audio, known = song()
    options = {"analysis": known, "device": "cpu"}
    original = spartito.cover(audio, model=folder, style="composer1@1,composer7@2", **options)
    port = spartito.cover(audio, model=folder, style="composer1", compat=True, **options)
    assert len(original) and len(port) and len(original.tracks) == 2 and len(port.tracks) == 1
    with pytest.raises(ParameterError, match="difficulty: not with compat"):
        spartito.cover(audio, model=folder, compat=True, difficulty=2, **options)


def test_a_model_that_is_not_here(monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="fetching needs the extra hub")

    def offline(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match="could not be fetched from the hub"):
        spartito.cover(song()[0], model="pop2piano", analysis=song()[1])


# -- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch, short):
    """An analysis that knows the beats of the band; it does not listen."""
    monkeypatch.setattr(spartito, "analyze", lambda source, **options: fake_analyze(source, **options), raising=False)
    monkeypatch.setattr(outputs_songs, "open_listener", lambda: None)


def test_files_of_several_lengths_and_rates_by_two_composers(capfd, folder, told, tmp_path):
    write_song(tmp_path / "songs" / "one.wav", 6.0)
    doubled = np.repeat(band(9.0), 2)
    spartito.save_audio(Audio(np.stack([doubled, doubled]), 2 * RATE), tmp_path / "songs" / "two.flac")
    out = tmp_path / "out"
    given = [str(tmp_path / "songs"), "--model", str(folder), "--device", "cpu", "-o", str(out), "-f", "mid"]
    status, _, err = run_cli(capfd, "cover", *given, "--composer", "composer1,composer7")
    assert status == 0, err
    names = [f"{song}_cover_{name}.mid" for song in ("one", "two") for name in ("composer1", "composer7")]
    assert sorted(path.name for path in out.rglob("*.mid")) == names
    status, _, err = run_cli(capfd, "cover", *given, "--composer", "composer1@1,composer7@2", "--title", "Ours")
    assert status == 0 and (out / "one_cover.mid").exists(), err


def test_short_songs_are_written_side_by_side(capfd, told, tmp_path, monkeypatch):
    """What comes of each is what comes of it alone; one that cannot be heard stands aside."""
    paths = [write_song(tmp_path / "songs" / f"{name}.wav", seconds) for name, seconds in zip("abcd", (5, 8, 3, 6))]
    (tmp_path / "songs" / "bad.wav").write_text("no sound")
    monkeypatch.setattr(pop2piano_cover, "AT_ONCE", 1000)

    def calls(*given, out):
        model = arranger()
        monkeypatch.setattr(cover_variants, "open_variant", lambda variant, device: model)
        options = ["--model", "fake", "--style", "composer1,composer3", "-f", "mid", "-o", str(tmp_path / out)]
        return run_cli(capfd, "cover", *map(str, given), *options), model.model.generator.calls

    (status, _, err), together = calls(tmp_path / "songs", out="together")
    assert status == 1 and "bad.wav" in err and "4 done, 1 failed" in err
    by_itself = []
    for path in paths:
        (status, _, err), (call,) = calls(path, out="alone")
        by_itself.append(call)
        assert status == 0, err
    assert [len(features) for features, *_ in together] == [sum(len(features) for features, *_ in by_itself)]
    made = sorted(path.name for path in (tmp_path / "together").iterdir())
    assert made == [f"{name}_cover_{style}.mid" for name in "abcd" for style in ("composer1", "composer3")]
    for name in made:
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_as_the_port_on_the_command_line(capfd, folder, told, tmp_path):
    song = write_song(tmp_path / "one.wav", 4.0)
    given = ["cover", str(song), "--model", str(folder), "--device", "cpu", "--compat", "--composer", "composer3"]
    status, _, err = run_cli(capfd, *given, "--generator", "transformers")
    assert status == 0, err
    (path,) = tmp_path.glob("*.mid")
    assert path.name == "one_cover.mid"
    assert set(spartito.read_midi(path).velocity.tolist()) == {77}
    status, _, err = run_cli(capfd, *given, "--difficulty", "2")
    assert status == 2 and "compat" in err


def test_composers_that_do_not_exist(capfd, folder, told, tmp_path):
    song = write_song(tmp_path / "one.wav", 4.0)
    status, _, err = run_cli(capfd, "cover", str(song), "--model", str(folder), "--composer", "composer1,composer22")
    assert status == 2 and "composer22" in err and "composer21" in err


def test_the_list_of_models_has_it(capfd):
    status, out, _ = run_cli(capfd, "models", "--json")
    (entry,) = [model for model in json.loads(out) if model["name"] == "pop2piano"]
    assert status == 0 and "not stated" in entry["licence"] and entry["size_bytes"] > 2e8
