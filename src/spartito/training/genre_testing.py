"""The published test of a pair of genres: origin, transfer and cycle of every test phrase, ranked by a classifier.

For each direction (`AtoB`, `BtoA`) a folder holds

    npy/origin/1_origin.npy      (1, 64, 84, C) bool; C = 1, what sounds, or 2, onsets and what sounds
    npy/transfer/1_transfer.npy  where the generator's probability is above 0.5
    npy/cycle/1_cycle.npy        what comes back, made from the probabilities of the transfer, not from its cells
    mid/1_origin_0.987.mid ...   one piano, velocity 100, 80 beats per minute; the number is the probability of the
                                 source genre
    Rankings_AtoB.txt            published columns, by the third of them, falling
    Rankings_AtoB_signed.txt     the same with its sign, and sorted by that
    png/1.png ...                if asked for: the three as piano rolls, of the phrases that rank first

and `test.json` the shares of phrases that the classifier takes for the source genre and the strengths S_A, S_B, S_D in
both ways of counting (`evaluation.strength`). Phrases count from 1.

Source: G. Brunner et al., 'Symbolic music genre transfer with CycleGAN' (ICTAI 2018) and its public program, whose
third column is |P(origin) - P(transfer)|, although its description has no bars: a transfer that is *more* of its source
genre ranks as high as one that succeeds. So there is the signed file. Where the program goes on with random weights
when a checkpoint is missing, this is an error; its MIDI files are written by our own writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spartito.evaluation.strength import COUNTS, strengths
from spartito.files import atomic_path
from spartito.models.cyclegan import CycleGan, Generator
from spartito.notes.midi import write_midi
from spartito.notes.phrases import LOWEST, PHRASE, STEPS_PER_BEAT, from_rolls
from spartito.notes.pianoroll import from_pianoroll
from spartito.notes.tempo import TempoMap
from spartito.training.data.states import write_state

__all__ = ["COLUMNS", "KINDS", "Versions", "classified", "ranking", "run_test", "transfer", "write_phrase"]

KINDS = ("origin", "transfer", "cycle")
COLUMNS = "Id  Content_diff  P_O - P_T  Prob_Origin  Prob_Transfer  Prob_Cycle"
TEMPO = 80.0  # beats per minute of MIDI files, as published
LOUDNESS = 100  # velocity of their notes
THRESHOLD = 0.5
AT_ONCE = 64  # phrases in one call
Classifier = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Versions:
    """Phrases of a genre (n, C, 64, 84) bool, what became of them, and what came back."""

    origin: np.ndarray
    transfer: np.ndarray
    cycle: np.ndarray


@torch.no_grad()
def transfer(there: Generator, back: Generator, phrases: np.ndarray) -> Versions:
    """`phrases` (n, C, 64, 84) through one generator and back through the other."""
    found = []
    for i in range(0, len(phrases), AT_ONCE):
        part = torch.from_numpy(np.ascontiguousarray(phrases[i : i + AT_ONCE], dtype=np.float32))
        probabilities = there(part).sigmoid()
        cycle = back(probabilities).sigmoid()  # of the probabilities, as published
        found.append([(x > THRESHOLD).numpy() for x in (part, probabilities, cycle)])
    return Versions(*(np.concatenate(kind) for kind in zip(*found)))


@torch.no_grad()
def classified(classifier: nn.Module | Classifier, phrases: np.ndarray, *, genre: int) -> np.ndarray:
    """(n,) probability of genre A (0) or B (1) for phrases (n, C, 64, 84); the classifier gives two logits."""
    parts = [torch.from_numpy(phrases[i : i + AT_ONCE].astype(np.float32)) for i in range(0, len(phrases), AT_ONCE)]
    return torch.cat([classifier(part).softmax(1)[:, genre] for part in parts]).numpy()


def content_difference(origin: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) share of the cells that sound in one and not in the other; the published mean squared difference."""
    return (origin[:, -1] != other[:, -1]).mean((1, 2))


def ranking(difference: np.ndarray, origin: np.ndarray, changed: np.ndarray, cycle: np.ndarray, *, signed: bool) -> str:
    """The text of a ranking file; all arguments (n,), the last three probabilities of the source genre.

    Published: the third column is the absolute fall of the probability. `signed`: with its sign. Both fall from the
    first line to the last; equal ones stay in the order of their numbers.
    """
    fall = origin - changed if signed else np.abs(origin - changed)
    lines = [COLUMNS]
    for i in np.argsort(-fall, kind="stable"):
        row = (difference[i], fall[i], origin[i], changed[i], cycle[i])
        lines.append(f"{i + 1:5d} " + " ".join(f"{value:5f}" for value in row))
    return "\n".join(lines) + "\n"


def write_phrase(phrase: np.ndarray, path: Path) -> None:
    """Write a phrase (C, 64, 84) as MIDI: a run of cells is a note, cut where the channel of onsets says so."""
    onsets = phrase[0] if len(phrase) > 1 else None
    steps_per_second = STEPS_PER_BEAT * TEMPO / 60
    notes = from_pianoroll(phrase[-1], fps=steps_per_second, lowest=LOWEST, onsets=onsets, velocity=LOUDNESS)
    write_midi(replace(notes, tempo_map=TempoMap.constant(TEMPO)), path)


def run_test(
    network: CycleGan,
    phrases: Sequence[np.ndarray],
    output: Path,
    *,
    classifier: nn.Module | Classifier,
    genres: tuple[str, str],
    files: bool = True,
    plots: int = 0,
    report: Callable[[str], None] = print,
) -> dict:
    """Test both directions and write what the module's text says; returns what `test.json` holds.

    Parameters
    ----------
    phrases : of genre A and of genre B, each (n, C, 64, 84)
    classifier : gives logits (n, 2), A first
    genres : names of A and B
    files : also write arrays and MIDI files
    plots : draw so many phrases of each direction, the first of the signed ranking (needs the extra `plot`)
    """
    output, network = Path(output), network.eval()
    found: dict = {"genres": list(genres)}
    probabilities = []
    sides = (("AtoB", network.AtoB, network.BtoA), ("BtoA", network.BtoA, network.AtoB))
    for source, (name, there, back) in enumerate(sides):
        versions = transfer(there, back, phrases[source])
        said = [classified(classifier, getattr(versions, kind), genre=source) for kind in KINDS]
        probabilities.append(tuple(said))
        difference = content_difference(versions.origin, versions.transfer)
        for text, signed in (("", False), ("_signed", True)):
            with atomic_path(output / name / f"Rankings_{name}{text}.txt") as path:
                path.write_text(ranking(difference, *said, signed=signed), encoding="utf-8")
        if files:
            write_versions(versions, said, output / name)
        if plots:
            first = np.argsort(said[1] - said[0], kind="stable")[:plots]
            draw_versions(versions, said, first, output / name, target=genres[1 - source])
        shares = {kind: round(float((p > THRESHOLD).mean()), 4) for kind, p in zip(KINDS, said)}
        empty = float((~versions.transfer[:, -1].any((1, 2))).mean())
        found[name] = {"phrases": len(difference), "taken_for_source": shares, "empty": round(empty, 4)}
        spoken = ", ".join(f"{kind} {share:.2%}" for kind, share in shares.items())
        report(f"{name}: taken for {genres[source]}: {spoken}")
    found["strengths"] = {
        count: {k: round(v, 4) for k, v in strengths(*probabilities, count=count).items()} for count in COUNTS
    }
    report(", ".join(f"{k} {v:.2%}" for k, v in found["strengths"]["fraction"].items()))
    write_state(output / "test.json", found)
    return found


def write_versions(versions: Versions, said: Sequence[np.ndarray], folder: Path) -> None:
    """Arrays and MIDI files of one direction; `said` (n,) probabilities of origin, transfer and cycle."""
    for old in [*folder.glob("npy/*/*.npy"), *folder.glob("mid/*.mid")]:  # their names hold probabilities
        old.unlink()
    for kind, values in zip(KINDS, said):
        for i, (phrase, value) in enumerate(zip(getattr(versions, kind), values), start=1):
            with atomic_path(folder / "npy" / kind / f"{i}_{kind}.npy") as path, path.open("wb") as file:
                np.save(file, phrase.transpose(1, 2, 0)[None])
            write_phrase(phrase, folder / "mid" / f"{i}_{kind}_{value:.3f}.mid")


def draw_versions(
    versions: Versions, said: Sequence[np.ndarray], chosen: np.ndarray, folder: Path, *, target: str
) -> None:
    """Piano rolls of the phrases `chosen` side by side, `png/<i>.png`; `said` as for `write_versions`."""
    from spartito.render.plots_style import plot_versions

    for i in chosen:
        parts = {kind: getattr(versions, kind)[i] for kind in KINDS}
        notes = {kind: from_rolls(x[0] if len(x) > 1 else None, x[-1]) for kind, x in parts.items()}
        probability = {kind: 1 - float(values[i]) for kind, values in zip(KINDS, said)}
        path = folder / "png" / f"{i + 1}.png"
        plot_versions(notes, path, steps=PHRASE, target=target, probability=probability)
