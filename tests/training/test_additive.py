import dataclasses

import numpy as np
import pytest

from spartito.training.additive import VELOCITIES, random_strings, sounds_of_key
from spartito.training.banks import ATTACK, RATE


def strings(**changes):
    return dataclasses.replace(random_strings(np.random.default_rng(0)), knock_db=-90.0, ripple_db=0.0, **changes)


def partials(sound, f0, count):
    """Strength of the spectrum within 3 % of each multiple, and where its peak lies."""
    part = sound[int(ATTACK * RATE) : int(ATTACK * RATE) + RATE // 2] * np.hanning(RATE // 2)
    spectrum, frequency = np.abs(np.fft.rfft(part, 4 * RATE)), np.fft.rfftfreq(4 * RATE, 1 / RATE)
    peaks = []
    for n in range(1, count + 1):
        near = np.flatnonzero(np.abs(frequency - n * f0) < 0.03 * n * f0)
        best = near[np.argmax(spectrum[near])]
        peaks.append((frequency[best], spectrum[best]))
    return peaks


def test_partials_are_stretched_by_stiffness():
    """f_n = n f0 sqrt(1 + B n²): the eighth partial of B = 0.001 lies 3.1 % above 8 f0, less that of the first."""
    piano = strings(stiffness=np.full(88, 1e-3), unison_cents=0.01)
    f0 = piano.fundamental[36]
    sound = sounds_of_key(piano, 36, np.random.default_rng(1))[-1]
    for n, (found, _) in enumerate(partials(sound, f0 * np.sqrt(1.03), 6), start=1):
        assert found == pytest.approx(n * f0 * np.sqrt(1 + 1e-3 * n**2), rel=0.003)


def test_a_string_struck_at_a_third_has_no_third_partial():
    piano = strings(strike=np.full(88, 1 / 3), stiffness=np.full(88, 1e-5), rolloff=np.zeros(88))
    sound = sounds_of_key(piano, 36, np.random.default_rng(1))[-1]
    levels = [level for _, level in partials(sound, piano.fundamental[36], 4)]
    assert levels[2] < 0.2 * levels[1] and levels[2] < 0.2 * levels[3]


def test_harder_is_louder_and_brighter():
    sounds = sounds_of_key(strings(), 40, np.random.default_rng(1))
    assert len(sounds) == len(VELOCITIES)
    level = [np.sqrt(np.mean(s[: RATE // 2] ** 2)) for s in sounds]
    assert level == sorted(level)
    bright = [np.sum(np.diff(s[: RATE // 2]) ** 2) / np.sum(s[: RATE // 2] ** 2) for s in (sounds[0], sounds[-1])]
    assert bright[1] > bright[0]


def test_sounds_begin_at_the_attack_and_die_away():
    for key in (0, 87):
        sound = sounds_of_key(strings(), key, np.random.default_rng(2))[2]
        assert not sound[: int(ATTACK * RATE)].any()
        assert np.isfinite(sound).all()
        assert np.mean(sound[-2000:] ** 2) < 0.01 * np.mean(sound[:4000] ** 2)
