"""What the latent space is trained with, and how it stands: batches of windows, validation, the order of genres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spartito.errors import ParameterError
from spartito.evaluation.latent import mean_of_tracks, reconstruction
from spartito.evaluation.latent_prior import mmd, sliced_wasserstein
from spartito.models.musae import MusAE, deviation
from spartito.models.musae_prior import Flower, Gaussian, circular_order, cooccurrence, similarity
from spartito.notes.band_attributes import NormalScale, attributes
from spartito.training.data.band_store import Bands
from spartito.training.musae import LatentRecipe

__all__ = ["LatentData", "make_validation", "order_of_tags", "prepare"]

SAMPLE = 20_000  # windows that attributes and genres are measured on
VALIDATION = 1_024  # windows


@dataclass(frozen=True, eq=False)
class LatentData:
    """Bands with what was found in them.

    Attributes
    ----------
    windows : (w, 2) int, chances : (w,) float
    order : (tags,) int, the tags around the circle
    scale : of the attributes of the windows
    """

    bands: Bands
    windows: np.ndarray
    chances: np.ndarray
    order: np.ndarray
    scale: NormalScale

    @property
    def place(self) -> np.ndarray:
        """(tags + 1,) place on the circle of each tag; of no tag, the centre."""
        return np.append(np.argsort(self.order), len(self.order))

    def batches(self, recipe: LatentRecipe) -> Callable[[int], dict[str, Tensor]]:
        """Batches from their index: windows by their chances, each in another key, with one tag of its song."""
        last: dict[int, dict[str, Tensor]] = {}  # all losses of a step ask for the same batch

        def batch_at(index: int) -> dict[str, Tensor]:
            if index not in last:
                last.clear()
                random = np.random.default_rng([recipe.loop.seed, index])
                chosen = self.windows[random.choice(len(self.windows), recipe.batch, p=self.chances)]
                shift = random.integers(recipe.transpose[0], recipe.transpose[1] + 1, recipe.batch)
                last[index] = self.batch(chosen, recipe, random, shift=shift) | {"step": torch.tensor(index)}
            return last[index]

        return batch_at

    def batch(self, windows: np.ndarray, recipe: LatentRecipe, random: np.random.Generator, *, shift=0) -> dict:
        """`states`, `component` and `attributes` (standard normal) of windows."""
        bars = recipe.network.bars
        states = self.bands.states_of(windows, bars=bars, transpose=shift, compat=recipe.compat)
        component = self.place[self.bands.draw_tags(windows, random)]
        found = {"states": torch.from_numpy(states.astype(np.int64)), "component": torch.from_numpy(component)}
        k = recipe.network.attributes
        if k:
            values = self.scale.to_normal(attributes(states, layout=self.bands.layout))[:, :k]
            found["attributes"] = torch.from_numpy(values.astype(np.float32))
        return found


def windows_of(bands: Bands, recipe: LatentRecipe) -> np.ndarray:
    """(w, 2) int: the windows that a recipe takes."""
    return bands.windows(bars=recipe.network.bars, max_silent=recipe.max_silent, optional=recipe.optional)


def prepare(bands: Bands, recipe: LatentRecipe) -> LatentData:
    """Windows, their chances, the order of tags and the scale of attributes, from the bands to learn from."""
    if bands.layout != recipe.network.rows:
        raise ParameterError(f"the store holds a {bands.layout.name}, the network is of a {recipe.network.layout}")
    windows = windows_of(bands, recipe)
    chances = bands.chances(windows) if recipe.even else np.full(len(windows), 1 / max(len(windows), 1))
    random = np.random.default_rng(recipe.loop.seed)
    some = windows[np.sort(random.permutation(len(windows))[:SAMPLE])]
    states = bands.states_of(some, bars=recipe.network.bars, compat=recipe.compat)
    values = attributes(states, layout=bands.layout)
    scale = NormalScale.of(values)
    return LatentData(bands, windows, chances, order_of_tags(bands, some, scale.to_normal(values)), scale)


def order_of_tags(bands: Bands, windows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(tags,) int: the tags around the circle, by how often songs have both; where no song has two, by the distance of
    the means of `values` (w, k), attributes of `windows`."""
    _, first = np.unique(bands.songs, return_index=True)
    counts = cooccurrence(bands.tags[first])
    if (counts - np.diag(np.diag(counts))).any():
        return circular_order(similarity(counts))
    tags = bands.tags[windows[:, 0]].astype(float)
    mean = (tags.T @ values) / np.maximum(tags.sum(axis=0), 1)[:, None]
    return circular_order(1 / (1 + np.linalg.norm(mean[:, None] - mean[None], axis=2)))


# -- validation -----------------------------------------------------------------------------------------------------


def make_validation(
    bands: Bands, data: LatentData, recipe: LatentRecipe, prior: Gaussian | Flower
) -> Callable[[MusAE], dict[str, float]]:
    """A function for `training.loop.fit` that measures a network on windows of other songs.

    Reconstruction from the mean and from sampled codes, beside the hold baseline; how sharp codes are; how far the
    whitened codes are from N(0, I): their mean and deviation, sliced Wasserstein distance, MMD.
    """
    random = np.random.default_rng(0)
    windows = windows_of(bands, recipe)
    windows = windows[np.sort(random.permutation(len(windows))[:VALIDATION])]
    held = LatentData(bands, windows, data.chances, data.order, data.scale)
    batch = held.batch(windows, recipe, random)
    truth = batch["states"].numpy()

    def validate(network: MusAE) -> dict[str, float]:
        device = next(network.parameters()).device
        made, sampled, codes, sigmas = [], [], [], []
        for rows in torch.arange(len(truth)).split(recipe.batch):
            mean, s = network.encoder(batch["states"][rows].to(device))
            sigma = deviation(s)
            z = mean + sigma * torch.randn_like(mean)
            made.append(network.decoder(mean).argmax(dim=-1).cpu().numpy())
            sampled.append(network.decoder(z).argmax(dim=-1).cpu().numpy())
            codes.append(prior.whitened(z, batch["component"][rows].to(device)).cpu().numpy())
            sigmas.append(sigma.mean().item())
        figures = reconstruction(truth, np.concatenate(made), layout=bands.layout)
        white = np.concatenate(codes)
        normal = np.random.default_rng(1).standard_normal(white.shape)
        return {
            "accuracy": mean_of_tracks(figures),
            "accuracy_sampled": mean_of_tracks(reconstruction(truth, np.concatenate(sampled), layout=bands.layout)),
            "hold_baseline": figures["all"]["hold_baseline"],
            "onset_accuracy": figures["all"]["onset_accuracy"],
            "note_f1": figures["all"]["note_f1"],
            **{f"onset_{name}": figures[name]["onset_accuracy"] for name in bands.layout.tracks},
            "sigma": float(np.mean(sigmas)),
            "code_mean": float(np.abs(white.mean(axis=0)).mean()),
            "code_deviation": float(white.std(axis=0).mean()),
            "sliced_wasserstein": sliced_wasserstein(white, normal),
            "mmd": mmd(white[:512], normal[:512]),
        }

    return validate
