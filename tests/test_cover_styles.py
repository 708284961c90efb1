"""Styles by name and by section, and controls, as a person writes them."""

from __future__ import annotations

import numpy as np
import pytest

from spartito.cover_styles import StylePlan, parse_controls, parse_styles
from spartito.errors import ParameterError

NAMES = ("calm", "octave-bass", "Flowing")
DOWNBEATS = np.array([1.0, 3.0, 5.0, 7.0])  # seconds


def test_one_several_and_all_styles():
    assert parse_styles("Calm", NAMES) == (StylePlan.of("calm"),)
    assert [plan.label for plan in parse_styles("flowing, calm,flowing", NAMES)] == ["Flowing", "calm"]
    assert [plan.label for plan in parse_styles("ALL", NAMES)] == list(NAMES)
    assert parse_styles("2", NAMES)[0].label == "octave-bass"
    assert StylePlan.of("walking bass").label == "walking_bass"


def test_a_style_for_each_section():
    (plan,) = parse_styles("calm@1, flowing@3,calm@0:06.5, 2@70s", NAMES)
    assert plan.parts == ((1, "calm"), (3, "Flowing"), (6.5, "calm"), (70.0, "octave-bass"))
    assert plan.label == "calm-Flowing-calm-octave-bass" and str(plan) == "calm@1,Flowing@3,calm@6.5s,octave-bass@70.0s"
    times = np.array([0.0, 1.0, 4.0, 4.99, 6.0, 6.5, 90.0])
    assert plan.at(times, DOWNBEATS) == ["calm", "calm", "calm", "Flowing", "Flowing", "calm", "octave-bass"]
    (late,) = parse_styles("flowing@2", NAMES)
    assert late.at(np.array([0.0, 9.0]), DOWNBEATS) == ["Flowing", "Flowing"]  # before the first section, too


def test_sections_that_a_song_does_not_have():
    with pytest.raises(ParameterError, match="4 bars"):
        parse_styles("calm@1,flowing@5", NAMES)[0].at(np.zeros(1), DOWNBEATS)
    with pytest.raises(ParameterError, match="follow"):
        parse_styles("calm@3,flowing@1", NAMES)[0].at(np.zeros(1), DOWNBEATS)


@pytest.mark.parametrize(
    ("text", "said"),
    [("loud", "calm, octave-bass"), ("calm,flowing@3", "calm@1"), ("", "one of"), ("calm@0", "bar"), ("calm@x", "bar"),
     ("calm@", "bar"), ("calm@1:75", "time"), ("4", "no style")],
)  # fmt: skip
def test_styles_that_cannot_be(text, said):
    with pytest.raises(ParameterError, match=said):
        parse_styles(text, NAMES)


def test_models_without_styles():
    with pytest.raises(ParameterError, match="knows no composers"):
        parse_styles("calm", (), word="composer")


def test_controls():
    assert parse_controls("density=4, pattern=walking,register=low") == {"density": 4, "pattern": 5, "register": 1}
    assert parse_controls({"polyphony": "rich", "difficulty": 2, "density": 0}) == {"polyphony": 4, "difficulty": 2}
    assert parse_controls(None) == parse_controls({}) == {}


@pytest.mark.parametrize(
    "given", ["density", "density=6", "speed=3", "style=1", "melody=omit", {"pattern": "tango"}, ","]
)
def test_controls_that_cannot_be(given):
    with pytest.raises(ParameterError):
        parse_controls(given)
