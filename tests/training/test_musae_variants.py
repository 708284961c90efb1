"""Variants of windows by hand, and whether each rule moves the attribute it is for."""

import numpy as np
import pytest

pytest.importorskip("torch")

from spartito.notes.band_attributes import ATTRIBUTES, attributes
from spartito.notes.four_tracks import HOLD, SILENT, expanded, held
from spartito.notes.layouts import BAND, PIANO
from spartito.training import musae_variants as job


def one_voice(cells):
    """(1, n, 4): a guitar; `cells` are its states."""
    states = np.full((1, len(cells), 4), HOLD, dtype=np.uint8)
    states[:, 0] = SILENT
    states[0, :, 2] = cells
    return states


def guitar(states):
    return states[0, :, 2].tolist()


class Sure:
    """Draws what it was told."""

    def __init__(self, share=0.5, choice=None):
        self.share, self.pick = share, choice

    def uniform(self, low, high, shape):
        return np.full(shape, self.share)

    def random(self, shape):
        return np.full(shape, 0.9)

    def choice(self, values, shape):
        return np.full(shape, self.pick)


def test_thinned_from_the_weakest_place_on():
    states = one_voice([60, 61, 62, 63, 64, HOLD, SILENT, HOLD])
    made = job._thinner(states, Sure(0.4), BAND)  # two of five: the last two between eighths
    assert guitar(made) == [60, HOLD, 62, HOLD, 64, HOLD, SILENT, HOLD]


def test_struck_again_half_way():
    states = one_voice([60, HOLD, HOLD, HOLD, 64, HOLD, 65, SILENT])
    assert guitar(job._busier(states, Sure(0.5), BAND)) == [60, HOLD, 60, HOLD, 64, HOLD, 65, SILENT]
    assert guitar(job._busier(states, Sure(1.0), BAND)) == [60, HOLD, 60, HOLD, 64, 64, 65, SILENT]


def test_lengths_up_to_the_next_note():
    states = one_voice([60, HOLD, SILENT, HOLD, 64, HOLD, HOLD, HOLD])
    assert guitar(job._longer(states, Sure(choice=4.0), BAND)) == [60, HOLD, HOLD, HOLD, 64, HOLD, HOLD, HOLD]
    assert guitar(job._longer(states, Sure(choice=0.5), BAND)) == [60, SILENT, HOLD, HOLD, 64, HOLD, SILENT, HOLD]


def test_pitches_by_octaves():
    states = one_voice([60, 80, 61, 107, SILENT, HOLD, HOLD, HOLD])  # middle 77
    assert guitar(job._octave(states, Sure(choice=1), BAND))[:4] == [72, 92, 73, 107]  # 119 is out of reach
    assert guitar(job._narrow(states, Sure(), BAND))[:4] == [72, 80, 73, 95]
    assert guitar(job._wide(states, Sure(choice=-1), BAND))[:4] == [48, 80, 49, 107]


def test_places_on_and_off_the_beat():
    states = one_voice([SILENT, 60, HOLD, SILENT, 62, HOLD, 63, HOLD])
    assert guitar(job._straight(states, Sure(), BAND)) == [60, HOLD, HOLD, SILENT, 62, HOLD, 63, HOLD]
    assert guitar(job._pushed(states, Sure(), BAND)) == [SILENT, 60, 62, HOLD, HOLD, HOLD, 63, HOLD]


@pytest.mark.parametrize("layout", [BAND, PIANO], ids=lambda layout: layout.name)
def test_rules_move_their_attributes_and_write_proper_states(layout):
    random = np.random.default_rng(0)
    draw = random.random((200, 32, len(layout)))
    states = np.where(draw < 0.3, random.integers(50, 80, draw.shape), np.where(draw < 0.4, SILENT, HOLD))
    sounding = expanded(states.astype(np.uint8))
    states = held(sounding, attack=states < SILENT)
    before = attributes(states, layout=layout)
    for name, attribute, sign in (
        ("thinner", "density", -1),
        ("busier", "density", 1),
        ("narrow", "pitch_range", -1),
        ("wide", "pitch_range", 1),
        ("straight", "syncopation", -1),
        ("pushed", "syncopation", 1),
        ("fewer", "voices", -1),
    ):
        made = job.RULES[name](states, random, layout)
        change = (attributes(made, layout=layout) - before)[:, ATTRIBUTES.index(attribute)]
        assert sign * change.mean() > 0.2 * before.std(axis=0)[ATTRIBUTES.index(attribute)], name
        assert (made[:, 0] != HOLD).all()
        np.testing.assert_array_equal(held(expanded(made), attack=made < SILENT), made)
    made = job.variants(states, random, layout=layout)
    changed = (made != states).any(axis=(1, 2)).mean()
    assert 0.7 < changed < 1 and made.dtype == np.uint8
