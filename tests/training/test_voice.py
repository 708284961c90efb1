import numpy as np
import pytest

from spartito.training.data.bands import RATE
from spartito.training.voice import sing

MELODY = np.array([[0.5, 1.4, 57, 90], [1.5, 2.4, 60, 90], [3.0, 3.9, 64, 90]])
RNG = np.random.default_rng


def partial_of(sound: np.ndarray, start: float, end: float) -> float:
    """Hz, by the first peak of the autocorrelation between two times."""
    part = sound[int(start * RATE) : int(end * RATE)]
    again = np.correlate(part, part, "full")[len(part) - 1 :]
    low, high = RATE // 500, RATE // 100
    return RATE / (low + int(np.argmax(again[low:high])))


@pytest.mark.parametrize("seed", range(4))
def test_the_voice_sings_the_notes(seed):
    sound = sing(MELODY, 4.5, RNG(seed))
    assert sound.shape == (round(4.5 * RATE),) and np.isfinite(sound).all()
    for onset, offset, pitch, _ in MELODY:
        heard = 69 + 12 * np.log2(partial_of(sound, onset + 0.15, offset - 0.25) / 440)
        assert heard == pytest.approx(pitch, abs=0.7)


def test_it_is_silent_in_rests_and_begins_on_time():
    for seed in range(6):
        sound = np.abs(sing(MELODY, 4.5, RNG(seed)))
        sung = sound[int(0.6 * RATE) : int(1.3 * RATE)].max()
        assert sound[: int(0.35 * RATE)].max() < 0.01 * sung and sound[int(4.2 * RATE) :].max() < 0.01 * sung
        first = np.argmax(np.convolve(sound, np.ones(200) / 200, "same") > 0.2 * sound.mean() + 0.02) / RATE
        assert 0.35 < first < 0.56  # a consonant comes before the note, the vowel on it


def test_the_same_seed_sings_the_same_and_nothing_gives_silence():
    assert (sing(MELODY, 2.0, RNG(1)) == sing(MELODY, 2.0, RNG(1))).all()
    assert not sing(np.zeros((0, 4)), 1.0, RNG(0)).any()


def test_singers_of_the_test_have_other_throats():
    one, other = (sing(MELODY, 2.0, RNG(1), split=split) for split in ("train", "test"))
    assert np.abs(one - other).max() > 0.01
