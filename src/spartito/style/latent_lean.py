"""The last part of the way to a slider's wish: scores that lean, where codes alone do not lead far enough.

Job
    `leant` takes an edit that moved codes (`style/sliders.py`) and brings its attributes to what was asked.

Method
    To the scores of an edit (`latent_cells.edited`) a few nats are added: to notes that begin, for density; to notes
    that sound on against silence, for duration; to notes off the beat against those on it, for syncopation; against
    silence, for voices; by semitone, upwards for pitch and away from the middle for pitch range. *Where* that has an
    effect is still the network's to say: cells change in the order in which it finds it likely. How many nats is found
    by halving an interval, over what comes out, one attribute after the other, the one that misses most first; those
    that were not asked for are led back in the same way.

Source: ours. A bias on the logits is how magnitudes of classes are balanced (A. K. Menon et al., 'Long-tail learning
via logit adjustment', ICLR 2021); here it is a knob.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from spartito.notes.four_tracks import SILENT
from spartito.notes.layouts import Layout
from spartito.notes.phrases import STEPS_PER_BEAT
from spartito.style.latent_cells import BEGINS, QUIET, SOUNDS, Lean
from spartito.style.sliders import heard_windows, measured, side_by_side, slider_names

__all__ = ["lean_of", "leant"]

MOST = 8.0  # nats
HALVINGS = 6
NEAR = 0.1  # steps by which an attribute that was asked may miss
NEAR_OTHERS = 0.2  # and one that was not
OTHERS = 0.1  # weight of a squared change of an attribute that was not asked for
ROUNDS = 2
OCTAVE = 12.0


def lean_of(amounts: Mapping[str, float], *, layout: Layout, steps: int, middle: float = 60.0) -> Lean:
    """Nats for `amounts` (attribute -> nats), over `steps` cells; `middle`: MIDI pitch that range is counted from."""
    kind = np.zeros((steps, len(layout), 3), dtype=np.float32)
    pitch = np.zeros((len(layout), SILENT), dtype=np.float32)
    pitched, upper = layout.pitched, list(layout.upper)
    key = np.arange(SILENT)
    on_beat = np.arange(steps) % STEPS_PER_BEAT == 0
    for name, amount in amounts.items():
        if name == "density":
            kind[..., BEGINS] += amount
        elif name == "duration":
            kind[:, pitched, SOUNDS] += amount
            kind[:, pitched, QUIET] -= amount
        elif name == "syncopation":
            kind[:, pitched, BEGINS] += np.where(on_beat, -amount, amount)[:, None]
        elif name == "voices":
            kind[:, pitched, QUIET] -= amount
        elif name == "pitch":
            pitch[upper] += amount * (key - middle) / OCTAVE
        elif name == "pitch_range":
            pitch[upper] += amount * np.abs(key - middle) / OCTAVE
    return Lean(kind, pitch)


def leant(
    model,
    source: np.ndarray,
    start: np.ndarray,
    asked: Mapping[str, float],
    render: Callable[[Mapping[str, float]], np.ndarray],
) -> tuple[np.ndarray, dict[str, float], dict[str, float]]:
    """States (T, V) that meet `asked` (attribute -> steps) better than `start`.

    Parameters
    ----------
    source, start : (T, V), the song, and the edit that moved codes
    render : amounts (attribute -> nats) -> states (T, V)

    Returns
    -------
    states, amounts, and the change of every attribute in steps
    """
    names = slider_names(model)
    windows = heard_windows(side_by_side(model, source))  # those that had notes, whatever becomes of them
    base = measured(model, source, weight=windows)
    wanted = np.array([asked.get(name, 0.0) for name in names])
    mine = np.array([name in asked for name in names])
    weight, near = np.where(mine, 1.0, OTHERS), np.where(mine, NEAR, NEAR_OTHERS)

    def miss(states: np.ndarray) -> np.ndarray:
        return measured(model, states, weight=windows) - base - wanted

    def cost(missing: np.ndarray) -> float:
        return float((weight * missing**2).sum())

    amounts: dict[str, float] = {}
    best, found = start, miss(start)
    for _ in range(ROUNDS):
        for i in np.argsort(-weight * np.abs(found)).tolist():
            if abs(found[i]) <= near[i]:
                continue
            before, side = amounts, float(np.sign(found[i]))
            low = before.get(names[i], 0.0)
            far = low - MOST * side
            for _ in range(HALVINGS):
                middle = (low + far) / 2
                trial = before | {names[i]: middle}
                states = render(trial)
                now = miss(states)
                if cost(now) < cost(found):
                    best, found, amounts = states, now, trial
                low, far = (middle, far) if np.sign(now[i]) == side else (low, middle)
    return best, amounts, {name: float(v) for name, v in zip(names, found + wanted)}
