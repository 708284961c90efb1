from pathlib import Path

import numpy as np
import pytest
import soxr

from spartito.audio.audio import Audio
from spartito.audio.io import load_audio
from spartito.errors import AudioError, DeviceError, ModelError, ParameterError
from spartito.evaluation.transcription import evaluate_transcription
from spartito.models.hub import find_model, list_models, load_model
from spartito.notes.midi import read_midi
from spartito.notes.notes import NOTE_DTYPE
from spartito.transcription import WINDOW, Curves, _ghosts, _pedal_spans, transcribe

EXAMPLES = Path(__file__).parent.parent / "examples"
RATE = 16_000


@pytest.fixture(scope="module")
def model():
    return load_model("transcribe", device="cpu")


@pytest.fixture(scope="module")
def recording() -> Audio:
    """The first twenty seconds of the example, 16 kHz mono."""
    audio = load_audio(EXAMPLES / "piano.ogg", end=20.0)
    return Audio(soxr.resample(audio.mono(), audio.rate, RATE), RATE)


@pytest.fixture(scope="module")
def heard(model, recording):
    return transcribe(recording, model=model)


def agreement(a, b) -> float:
    return evaluate_transcription(a, b)["note_f1"]


def test_the_example_is_heard(heard):
    reference = read_midi(EXAMPLES / "piano_reference.mid").between(0, 19.5)
    scores = evaluate_transcription(reference, heard.between(0, 19.5))
    assert scores["note_f1"] > 0.9
    assert abs(scores["onset_error_median_ms"]) < 20


def test_notes_are_what_midi_allows(heard):
    assert heard.array.dtype == NOTE_DTYPE
    assert heard.velocity.min() >= 1 and heard.velocity.max() <= 127
    assert heard.pitch.min() >= 21 and heard.pitch.max() <= 108
    assert (heard.offset - heard.onset >= 0.02 - 1e-9).all() and heard.onset.min() >= 0
    confidence = heard.array["confidence"]
    assert confidence.min() > 0 and confidence.max() <= 1
    assert not (np.diff(heard.pedal, axis=1) <= 0).any()


@pytest.mark.parametrize("start", [3.2, 7.04])
def test_the_result_does_not_depend_on_where_windows_lie(model, start):
    """Starting later by whole steps of the network (32 ms) moves every seam and changes no note."""
    whole = transcribe(EXAMPLES / "piano.ogg", model=model, tuning=None)
    later = transcribe(EXAMPLES / "piano.ogg", model=model, tuning=None, start=start)
    assert agreement(whole.between(9, 44), later.between(9, 44)) >= 0.995
    assert later.onset.min() >= start  # times stay those of the recording


def test_curves_are_the_same_in_any_windows(model, recording, monkeypatch):
    """With margins as wide as the network's sight, seams leave no trace but rounding."""
    samples = recording.samples[0]
    long = model.curves(samples)
    monkeypatch.setattr("spartito.transcription.WINDOW", 250)
    short = model.curves(samples)
    for name in ("onset", "offset", "frame", "velocity", "pedal"):
        np.testing.assert_allclose(getattr(long, name), getattr(short, name), atol=2e-3)


def test_windows_bound_the_memory(model, recording):
    """The network never sees more than a window with its margins, however long the recording."""
    seen = []
    network = model.network
    model.network = lambda inputs: seen.append(inputs["spectrum"].shape) or network(inputs)
    try:
        model.curves(np.tile(recording.samples[0], 4))
    finally:
        model.network = network
    assert len(seen) == -(-80 * 62.5 // WINDOW) and max(shape[1] for shape in seen) <= WINDOW + 2 * model.margin


@pytest.mark.parametrize("cents", [40, -35])
def test_a_mistuned_piano_is_heard_as_well(model, recording, heard, cents):
    stretch = 2 ** (-cents / 1200)
    detuned = Audio(soxr.resample(recording.samples[0], RATE, RATE * stretch), RATE)
    found = transcribe(detuned, model=model)
    back = found.array.copy()
    back["onset"] /= stretch
    back["offset"] /= stretch
    assert agreement(heard, found.with_array(back)) > 0.93


def test_rate_and_channels_do_not_matter(model, recording, heard):
    stereo = soxr.resample(recording.samples[0], RATE, 44_100)
    louder = Audio(np.stack([0.2 * stereo, 0.3 * stereo]), 44_100)
    assert agreement(heard, transcribe(louder, model=model)) > 0.97


def test_silence_and_crumbs_have_no_notes(model):
    for seconds in (0.05, 3.0):
        silent = Audio(np.zeros((1, int(seconds * RATE)), dtype=np.float32), RATE)
        assert len(transcribe(silent, model=model)) == 0
    noise = 1e-3 * np.random.default_rng(0).standard_normal(int(0.05 * RATE))
    transcribe(Audio(noise, RATE), model=model)
    with pytest.raises(AudioError):
        transcribe(Audio(np.zeros((1, 0)), RATE), model=model)
    with pytest.raises(AudioError, match="outside"):
        transcribe(Audio(np.zeros((1, RATE)), RATE), model=model, start=2.0)


def test_options_do_what_they_say(model, recording, heard):
    middle = transcribe(recording, model=model, lowest=50, highest=70)
    assert set(middle.pitch) == set(heard.pitch[(heard.pitch >= 50) & (heard.pitch <= 70)])
    few = transcribe(recording, model=model, onset_threshold=0.9)
    many = transcribe(recording, model=model, onset_threshold=0.1)
    assert len(few) < len(heard) <= len(many)
    assert (transcribe(recording, model=model, shortest=0.5).offset - heard.onset.min() > 0).all()
    assert len(heard.pedal) == 0 and len(transcribe(recording, model=model, pedal=True).pedal) > 0
    lengths = [np.sum(n.offset - n.onset) for n in (
        transcribe(recording, model=model, frame_threshold=t, pedal=False) for t in (0.8, 0.1)
    )]  # fmt: skip
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize(
    "options",
    [
        {"onset_threshold": 1.5},
        {"frame_threshold": 0},
        {"lowest": 60, "highest": 50},
        {"highest": 120},
        {"tuning": "high"},
        {"tuning": 80},
        {"shortest": -1},
        {"high_notes": "loud"},
    ],
)
def test_options_out_of_their_domain_are_refused(model, recording, options):
    with pytest.raises(ParameterError):
        transcribe(recording, model=model, **options)


def test_models_and_devices_that_do_not_exist(recording):
    with pytest.raises(ModelError, match="transcribe"):
        transcribe(recording, model="no-such-model")
    with pytest.raises(DeviceError):
        transcribe(recording, device="abacus")
    assert find_model("transcribe").job == "transcription"
    assert sum(info.size_bytes for info in list_models() if info.job == "transcription") < 4e6


def test_progress_ends_at_one(model, recording):
    parts = []
    transcribe(recording, model=model, progress=parts.append)
    assert parts == sorted(parts) and parts[-1] == 1.0


def test_pedal_spans_by_hand():
    down = np.array([0.1, 0.7, 0.5, 0.5, 0.3, 0.1, 0.9, 0.1, 0.1, 0.8, 0.8, 0.2, 0.7, 0.7])
    spans = _pedal_spans(down, fps=20.0)  # 50 ms a frame
    # down at 1 until 4 (0.5 is doubt); a stroke of one frame at 6 is ignored; a lift of one frame at 11 too
    np.testing.assert_allclose(spans, [[0.05, 0.2], [0.45, 0.7]])
    assert _pedal_spans(np.full(5, 0.5), fps=20.0).shape == (0, 2)


def test_a_partial_struck_with_its_fundamental_is_a_ghost():
    notes = np.zeros(3, dtype=NOTE_DTYPE)
    notes["onset"] = [1.0, 1.005, 3.0]
    notes["pitch"] = [72, 96, 96]  # two octaves above, together and alone
    notes["confidence"] = [0.9, 0.5, 0.5]
    threshold = np.full(88, 0.4)
    assert _ghosts(notes, threshold, fps=62.5).tolist() == [False, True, False]
    notes["confidence"] = [0.9, 0.6, 0.5]  # sure enough
    assert not _ghosts(notes, threshold, fps=62.5).any()


def test_curves_hold_half_precision(model, recording):
    curves = model.curves(recording.samples[0][: 3 * RATE])
    assert isinstance(curves, Curves) and curves.onset.dtype == np.float16
