"""A song for a band, a piano piece, and a latent model whose answers follow from its code, without a network.

`FakeLatent`: dimension 2 of a code is how many notes begin, dimension 3 how high they are, both as deviations of the
prior; the rest is a projection of the states, so that other music has other codes.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from spartito.models.musae_prior import Flower
from spartito.notes.band_attributes import NormalScale, attributes
from spartito.notes.four_tracks import BAR, HOLD, SILENT, STATES
from spartito.notes.layouts import BAND, Layout
from spartito.notes.notes import CONTROL_DTYPE, Notes, Track
from spartito.notes.tempo import TempoMap, TimeSignature

CHORDS = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))  # above C


def song(bars: int = 4, *, bpm: float = 120.0, key: int = 0, extra: bool = True, title: str = "A Song") -> Notes:
    """Drums, bass, a guitar in chords, a tune on strings, and a second guitar; off the grid, loud as it likes."""
    rows = []  # quarter, quarters, pitch, track
    for bar in range(bars):
        chord = [key + c for c in CHORDS[bar % 4]]
        for half in range(2):
            rows += [(4 * bar + 2 * half, 1.8, 52 + c, 2) for c in chord]
        rows += [(4 * bar + beat, 0.9, 36 + chord[beat % 3], 1) for beat in range(4)]
        rows += [(4 * bar + beat, 0.2, 36 if beat % 2 == 0 else 38, 0) for beat in range(4)]
        rows += [(4 * bar + eighth / 2, 0.2, 42, 0) for eighth in range(8)]
        rows += [(4 * bar + beat, 0.95, 72 + chord[(bar + beat) % 3], 3) for beat in range(4)]
        if extra:
            rows.append((4 * bar, 3.5, 64 + chord[0], 4))
    rows = np.array(rows)
    wobble = 0.01 * np.sin(np.arange(len(rows)))
    clock = TempoMap(changes=np.array([[0, round(60e6 / bpm)]]), time_signatures=(TimeSignature(0, 4, 4),))
    onset = np.maximum(clock.quarters_to_seconds(rows[:, 0]) + wobble, 0)
    volume = np.array([(0.0, 7, 90)], dtype=CONTROL_DTYPE)
    tracks = (
        Track("Drums", is_drum=True, channel=9),
        Track("Bass", 33, controls=volume),
        Track("Guitar", 25),
        Track("Strings", 48, lyrics=((0.5, "la"),)),
    )
    return Notes.from_arrays(
        onset,
        onset + clock.quarters_to_seconds(rows[:, 1]),
        rows[:, 2].astype(int),
        50 + np.arange(len(rows)) % 60,
        track=rows[:, 3].astype(int),
        tracks=tracks + ((Track("Second guitar", 27),) if extra else ()),
        tempo_map=clock,
        markers=((1.0, "verse"),),
        title=title,
    )


def piano(bars: int = 4) -> Notes:
    """Two hands: a tune over chords."""
    full = song(bars, extra=False)
    keep = full.array["track"] >= 2
    array = full.array[keep].copy()
    array["track"] = np.where(array["track"] == 3, 0, 1)
    return Notes(array, tracks=(Track("right hand"), Track("left hand")), tempo_map=full.tempo_map, title="Piano")


class FakeLatent:
    """See the top of the file."""

    def __init__(self, bars: int = 2, *, layout: Layout = BAND, prior=None, empty: bool = False, name: str = "fake"):
        self.name, self.bars, self.steps, self.layout, self.latent = name, bars, BAR * bars, layout, 12
        self.prior = Flower(self.latent, count=2) if prior is None else prior
        self.tags = ["jazz", "pop"] if isinstance(self.prior, Flower) else []
        self.config = SimpleNamespace(attributes=1, bars=bars, latent=self.latent, layout=layout.name)
        self.tempo, self.velocity = {"": 100.0, "jazz": 160.0, "pop": 90.0}, {"": np.full((len(layout), BAR), 70.0)}
        self.sliders = {}
        self.empty = empty
        rng = np.random.default_rng(0)
        self.urge = rng.standard_normal((self.steps, len(layout)))  # where notes like to begin
        self.turn = rng.standard_normal((self.steps * len(layout), self.latent)) / 300
        density = np.linspace(0.5, 30.0 * bars, 200)
        self.scale = NormalScale.of(np.column_stack([density] + [np.linspace(0, 1, 200)] * 5))

    def component(self, tag):
        return self.prior.components if tag is None else self.tags.index(tag)

    def encode(self, states):
        states = np.asarray(states)
        assert states.shape[1:] == (self.steps, len(self.layout)) and (states[:, 0] != HOLD).all()
        z = (states.reshape(len(states), -1) / 64.0 - 1) @ self.turn
        density = self.scale.to_normal(attributes(states, layout=self.layout))[:, 0]
        z[:, 2] = density * self.prior.deviations()[2]
        return z.astype(np.float32), np.full(z.shape, 0.1, dtype=np.float32)

    def decode(self, z):
        z = np.asarray(z)
        more, higher = z[:, 2] / self.prior.deviations()[2], z[:, 3] / self.prior.deviations()[3]
        begins = 1 / (1 + np.exp(-(self.urge + more[:, None, None] - 0.5)))  # (n, T, V)
        if self.empty:
            begins = np.full_like(begins, 1e-6)
        p = np.empty((*begins.shape, STATES))
        middle = 60 + 4 * np.arange(len(self.layout)) + higher[:, None]
        shape = np.exp(-(((np.arange(SILENT) - middle[..., None]) / 3) ** 2))  # (n, V, 128)
        p[..., :SILENT] = (shape / shape.sum(-1, keepdims=True))[:, None] * begins[..., None]
        p[..., SILENT], p[..., HOLD] = 0.3 * (1 - begins), 0.7 * (1 - begins)
        return np.log(p + 1e-9).astype(np.float32)
