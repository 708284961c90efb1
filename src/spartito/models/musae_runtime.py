"""Running the network of the latent space without torch: windows of states to codes, and codes to windows.

    states (n, T, V)  -> encoder.onnx -> mean and deviation of the codes (n, N_z)
    codes z (n, N_z)  -> decoder.onnx -> log-probabilities of the states (n, T, V, 130)

T are 16 steps a bar, V the tracks of a layout (`notes/layouts.py`): the four of a band or the voices of a piano. A
folder of weights (`models/musae_export.py`) also tells the prior that codes follow, the genres around its circle, and
the scale of the attributes. Windows go through the network in parts of equal length in time, so that an hour of music
needs no more memory for it than a minute; `decode_parts` gives the results in such parts, too, since those of an hour
are many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spartito.errors import ModelError, ParameterError
from spartito.models.hub import ModelInfo, find_model
from spartito.models.musae_prior import Flower, Gaussian, prior_from_dict
from spartito.models.runtime import Network, open_graph
from spartito.notes.band_attributes import NormalScale
from spartito.notes.four_tracks import BAR, STATES
from spartito.notes.layouts import Layout, layout_of

__all__ = ["DECODER", "ENCODER", "LatentModel", "LatentSettings", "open_latent"]

JOB = "latent"
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
STEPS_AT_ONCE = 1024  # of windows in one call; 512 to 4096 take the same time


@dataclass(frozen=True)
class LatentSettings:
    """What one has to know of a network to use it; `models/musae.py` has all that defines it."""

    bars: int
    latent: int
    """N_z."""
    layout: str = "band"
    attributes: int = 0
    """Dimensions 2, 3, ... of z that tell attributes, see `notes/band_attributes.py`."""

    @classmethod
    def from_dict(cls, network: dict) -> LatentSettings:
        """From the `network` of a config.json; what else it tells is left."""
        return cls(**{name: network[name] for name in cls.__dataclass_fields__ if name in network})


def open_latent(name: str | os.PathLike = "latent", *, device: str = "auto", threads: int = 0) -> LatentModel:
    """A latent space by the name of a shipped model, or from a folder that `spartito export` wrote.

    Parameters
    ----------
    device, threads : see `models.runtime.open_graph`

    Raises
    ------
    ModelError
        There is no such model, or it is one for another job.
    """
    info = find_model(name)
    if info.job != JOB:
        raise ModelError(f"{info.name} is a model for {info.job!r}; a latent space is asked for")
    return LatentModel(info, device=device, threads=threads)


class LatentModel:
    """A loaded latent space.

    Attributes
    ----------
    info : ModelInfo
    name : str
    config : LatentSettings
    layout : Layout
        The tracks.
    bars, steps, latent : int
        Length of a window in bars and in steps; dimensions of a code.
    prior : Gaussian or Flower
        What codes follow.
    tags : list of str
        Genres, in the order of the components of the prior; empty when it knows none.
    scale : NormalScale or None
        Attributes to standard normal numbers, in the order of `band_attributes.ATTRIBUTES`.
    tempo : dict of float
        Tag -> usual quarter notes per minute; "" for all music.
    velocity : dict of np.ndarray, shape=(tracks, 16)
        Tag -> usual velocity at each step of the bar; "" for all music.
    gains : dict of float
        Attribute -> deviations that its slider goes for a step (`style/sliders.py`); 1 where none is told.
    sliders : dict of np.ndarray, shape=(k + 1, k)
        Tag -> what windows of it usually have on the slider dimensions, in deviations of the prior: their mean and,
        below it, the factor of their covariance; "" for all music. Empty when not told: then as the prior has it.
    """

    def __init__(self, info: ModelInfo, *, device: str = "auto", threads: int = 0):
        self.info, self.name, told = info, info.name, info.config
        try:
            self.config = LatentSettings.from_dict(told["network"])
            self.layout: Layout = layout_of(self.config.layout)
            self.prior: Gaussian | Flower = prior_from_dict(told["prior"])
            self.tags = [str(tag) for tag in told.get("tags", [])]
            self.scale = NormalScale(np.asarray(told["scale"], dtype=np.float64)) if told.get("scale") else None
            self.tempo = {tag: float(value) for tag, value in told.get("tempo", {}).items()}
            shape = (len(self.layout), BAR)
            self.velocity = {tag: np.reshape(rows, shape) for tag, rows in told.get("velocity", {}).items()}
            shape = (self.config.attributes + 1, self.config.attributes)
            self.sliders = {tag: np.reshape(rows, shape) for tag, rows in told.get("sliders", {}).items()}
            self.gains = {str(name): float(gain) for name, gain in told.get("gains", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError, ParameterError) as error:
            raise ModelError(f"the config.json of {info.name} does not describe a latent space ({error!r})") from error
        self.bars, self.steps, self.latent = self.config.bars, BAR * self.config.bars, self.config.latent
        self.device, self.threads = device, threads
        self._networks: dict[str, Network] = {}

    @property
    def at_once(self) -> int:
        """Windows in one call of the network."""
        return max(1, STEPS_AT_ONCE // self.steps)

    def component(self, tag: str | None) -> int:
        """The component of the prior that belongs to a genre; of none given, that of music without genre."""
        if tag is None:
            return self.prior.components
        if tag not in self.tags:
            raise ParameterError(f"{self.name} knows the genres {', '.join(self.tags) or 'of none'}, not {tag!r}")
        return self.tags.index(tag)

    def encode(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows to codes.

        Parameters
        ----------
        states : np.ndarray, shape=(n, T, V), int
            0 to 127 a pitch, 128 silent, 129 hold (`notes/four_tracks.py`).

        Returns
        -------
        mean, deviation : np.ndarray, shape=(n, N_z), float32
        """
        states = self._checked_states(states)
        codes = np.empty((2, len(states), self.latent), np.float32)
        for part in self._parts(len(states)):
            codes[:, part] = self._network(ENCODER)({"states": states[part].astype(np.int64)})
        return codes[0], np.exp(0.5 * codes[1])

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Codes (n, N_z) to log-probabilities of the states, (n, T, V, 130) float32."""
        out = np.empty((len(z), self.steps, len(self.layout), STATES), np.float32)
        for part, told in self.decode_parts(z):
            out[part] = told
        return out

    def decode_parts(self, z: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """As `decode`, a few windows at a time: which these are, and their log-probabilities.

        All of 2-bar windows at each bar take 67 kB of memory a window and 120 MB an hour; so what is only added up
        where windows overlap is better taken in parts.
        """
        z = np.asarray(z, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ParameterError(f"codes of {self.name} are (windows, {self.latent}), not {z.shape}")
        if not np.isfinite(z).all():
            raise ParameterError("codes are finite numbers")
        for part in self._parts(len(z)):
            yield part, self._network(DECODER)({"z": np.ascontiguousarray(z[part])})[0]

    def _checked_states(self, states: np.ndarray) -> np.ndarray:
        states, shape = np.asarray(states), (self.steps, len(self.layout))
        if states.ndim != 3 or states.shape[1:] != shape:
            tracks = ", ".join(self.layout.tracks)
            raise ParameterError(
                f"windows of {self.name} are (windows, {shape[0]}, {shape[1]}): {self.bars} bars of {tracks}, "
                f"not {states.shape}"
            )
        if not np.issubdtype(states.dtype, np.integer):
            raise ParameterError(f"states are whole numbers, not {states.dtype}")
        if states.size and not (0 <= int(states.min()) and int(states.max()) < STATES):
            raise ParameterError(f"states are 0 to {STATES - 1}, not {states.min()} to {states.max()}")
        return states

    def _parts(self, count: int) -> Iterator[slice]:
        return (slice(i, min(i + self.at_once, count)) for i in range(0, count, self.at_once))

    def _network(self, graph: str) -> Network:
        if graph not in self._networks:
            path = self.info.folder / graph
            if not path.exists():
                raise ModelError(f"{self.info.folder} holds no {graph}: make a folder to use with `spartito export`")
            self._networks[graph] = open_graph(path, device=self.device, threads=self.threads)
        return self._networks[graph]
