"""Pop2Piano's tokens by transformers' `generate` and by ours, on the same inputs and weights: speed and agreement.

    python benchmarks/pop2piano.py --segments 15 --segments 90 --threads 1 --threads 2 -o results
    python benchmarks/pop2piano.py --segments 32 --songs 8 --precision fp32 -o results_clips
    python benchmarks/pop2piano.py --weights standin --bands BANDS/test --threads 1 -o results_standin

Without `--weights` the network is the published one with random weights, which never end a row. Both engines are made
to end each after a length drawn from what piano arrangements need (mean 64, at most 134 tokens), and the spectrograms
are noise, 47 frames, as at 120 beats a minute. 15, 30 and 90 segments are half a minute, a minute and three minutes of
such music. How far bf16 and int8 agree on random weights says nothing; whether fp32 does, says much.

`--weights` is a folder as the hub has it, of the published weights or of a stand-in (`pop2piano_standin.py`), `--bands`
a folder of songs with beats (`docs/bands.md`). Rows then end by themselves.

`--songs 8` takes the segments as eight songs and adds what our engine needs for one after the other, as a list of
files would be arranged that does not share batches.

Runs of the engines alternate; shown are medians. "x" is transformers' seconds divided by the engine's. "equal" is the
share of transformers' tokens that stand at the same place of the engine's row; a row that once chose otherwise goes on
otherwise. "same choice" is the share of choices that agree where all before them did.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers import Pop2PianoConfig as PortConfig
from transformers import Pop2PianoForConditionalGeneration as Port

from spartito import __version__
from spartito.files import atomic_path
from spartito.models.pop2piano_generate import PRECISIONS, FastGenerator
from spartito.models.pop2piano_network import Pop2PianoConfig
from spartito.models.pop2piano_tokens import COMPOSER, END, SIZE

LONGEST = 256  # tokens, with the start
FRAMES = 47  # of a segment of four beats at 120 beats a minute
LENGTH_MEAN, LENGTH_DEVIATION, LENGTH_RANGE = 64.0, 15.0, (10, 134)  # tokens of 4-beat segments of POP909


class EndsAt(LogitsProcessor):
    """Ends row i as its token number `lengths[i]`."""

    def __init__(self, lengths: np.ndarray):
        self.lengths = torch.from_numpy(lengths)

    def __call__(self, written, scores):
        scores[self.lengths <= written.shape[1], END] = 1e9
        return scores


def random_model(*, seed: int = 0, **sizes) -> Port:
    """Random weights that choose among the known tokens and never end."""
    torch.manual_seed(seed)
    model = Port(PortConfig(tie_word_embeddings=False, **sizes)).eval()
    with torch.no_grad():
        model.lm_head.weight[:4] = model.lm_head.weight[SIZE:] = 0.0
    return model


def noise(segments: int, width: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (segments, 47, width) and lengths (segments,) of the rows to write."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(segments, FRAMES, width)).astype(np.float32)
    return features, random.normal(LENGTH_MEAN, LENGTH_DEVIATION, segments).clip(*LENGTH_RANGE).astype(np.int64)


def songs(folder: Path, segments: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (segments, T, width) of the first bands of a folder, and the mask (segments, T) of their padding."""
    from pop2piano_standin import excerpt

    found = []
    for path in sorted(folder.glob("*.npz")):
        features, _ = excerpt(path)
        found += list(features.reshape(*features.shape[:2], width, -1).mean(-1))
        if len(found) >= segments:
            break
    found = found[:segments]
    frames = np.array([len(f) for f in found])
    mask = np.arange(frames.max()) < frames[:, None]
    features = np.zeros((*mask.shape, width), np.float32)
    features[mask] = np.concatenate(found)
    return features, mask


def clock(work) -> tuple[np.ndarray, float, float]:
    """The result, and seconds by the processor's and by the wall's clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def agreement(tokens: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """How far rows (N, L) are those wanted (N, M), both zero after their end."""
    width = max(tokens.shape[1], wanted.shape[1])
    tokens, wanted = (np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in (tokens, wanted))
    asked = np.cumsum(wanted == END, axis=1) - (wanted == END) == 0  # up to the end, with it
    different = asked & (tokens != wanted)
    first = np.where(different.any(1), different.argmax(1) + 1, asked.sum(1))  # choices made under equal conditions
    return {
        "equal": float(1.0 - different.sum() / asked.sum()),
        "same_choice": float(1.0 - different.any(1).sum() / first.sum()),
        "rows_equal": float(1.0 - different.any(1).mean()),
    }


def compare(
    model: Port, features, mask, lengths, *, threads: int, repeats: int, precisions=PRECISIONS, songs: int = 1
) -> dict:
    """Seconds and agreement of each engine. `lengths` (N,) ends rows, or is None; `songs` above 1: in turn, too."""
    count, port = len(features), model.config
    how = GenerationConfig(
        composer_to_feature_token={f"composer{i + 1}": COMPOSER + i for i in range(21)},
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=END,
        max_length=LONGEST,
    )
    ends = LogitsProcessorList([] if lengths is None else [EndsAt(lengths)])
    heard = None if mask is None else torch.from_numpy(mask).long()

    def theirs():
        made = model.generate(
            torch.from_numpy(features), attention_mask=heard, generation_config=how, logits_processor=ends
        )
        return made[:, 1:].numpy()

    settings = {"activation": port.dense_act_fn, "scale_decoder_outputs": port.scale_decoder_outputs}
    config = Pop2PianoConfig.from_dict(port.to_dict() | settings)
    most = LONGEST if lengths is None else lengths  # ours leaves out the end that theirs is told to write

    def ours(made, rows):
        known = None if mask is None else mask[rows]
        asked = most if lengths is None else most[rows]
        return made.generate(features[rows], known, np.zeros(len(rows), int), max_length=asked)

    engines, everything = {"transformers": theirs}, np.arange(count)
    for precision in precisions:
        made = FastGenerator(model.state_dict(), config, precision=precision, threads=threads)
        engines[f"spartito {precision}"] = partial(ours, made, everything)
        if songs > 1:
            parts = np.array_split(everything, songs)
            engines[f"spartito {precision}, {songs} songs in turn"] = lambda made=made, parts=parts: stacked(
                [ours(made, part) for part in parts]
            )
    runs: dict[str, list] = {name: [] for name in engines}
    load = [os.getloadavg()[0]]
    torch.set_num_threads(threads)
    for _ in range(repeats):
        for name, work in engines.items():
            runs[name].append(clock(work))
    load.append(os.getloadavg()[0])
    wanted = closed(runs["transformers"][0][0])
    report = {}
    for name, made in runs.items():
        cpu, wall = (float(np.median([run[k] for run in made])) for k in (1, 2))
        report[name] = {"cpu": cpu, "wall": wall, **agreement(closed(made[0][0]), wanted)}
    tokens = int((wanted != 0).sum())
    return {"segments": count, "threads": threads, "tokens": tokens, "load": load, "engines": report}


def stacked(parts: list[np.ndarray]) -> np.ndarray:
    """Rows (N, L) of tokens of several songs one below the other, zero after their end."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


def closed(rows: np.ndarray) -> np.ndarray:
    """Rows (N, L) of tokens, with an end where there is none."""
    rows = np.pad(rows, ((0, 0), (0, 1)))
    length = (rows != 0).sum(1)
    open_rows = ~(rows == END).any(1)
    rows[open_rows, length[open_rows]] = END
    return rows


def table(comparisons: list[dict]) -> str:
    headings = (
        "segments, tokens, threads, engine, CPU s, clock s, x CPU, x clock, equal, same choice, rows equal".split(", ")
    )
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for made in comparisons:
        base = made["engines"]["transformers"]
        for name, e in made["engines"].items():
            times = f"{e['cpu']:.2f} | {e['wall']:.2f} | {base['cpu'] / e['cpu']:.2f} | {base['wall'] / e['wall']:.2f}"
            same = f"{e['equal']:.4f} | {e['same_choice']:.5f} | {e['rows_equal']:.3f}"
            place = f"{made['segments']} | {made['tokens']} | {made['threads']}"
            lines.append(f"| {place} | {name} | {times} | {same} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, action="append", help="how many at once; may be repeated (90)")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated (1)")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="may be repeated (all)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--songs", type=int, default=1, help="that the segments are of, to be written in turn, too")
    parser.add_argument("--weights", type=Path, help="folder of a model; random weights if left out")
    parser.add_argument("--bands", type=Path, help="folder of songs, with --weights")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the report")
    options = parser.parse_args(arguments)
    if (options.weights is None) != (options.bands is None):
        parser.error("--weights and --bands go together")
    transformers.logging.set_verbosity_error()
    model = random_model() if options.weights is None else Port.from_pretrained(options.weights).eval()
    comparisons = []
    for segments in options.segments or [90]:
        if options.bands is None:
            (features, lengths), mask = noise(segments, model.config.d_model), None
        else:
            (features, mask), lengths = songs(options.bands, segments, model.config.d_model), None
        for threads in options.threads or [1]:
            precisions = options.precision or PRECISIONS
            manner = {"repeats": options.repeats, "precisions": precisions, "songs": options.songs}
            made = compare(model, features, mask, lengths, threads=threads, **manner)
            comparisons.append(made)
            print(table([made]), flush=True)
    report = {
        "machine": {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()},
        "versions": {"spartito": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
        "weights": "random" if options.weights is None else options.weights.name,
        "comparisons": comparisons,
    }
    loads = ", ".join(f"{made['load'][0]:.1f} to {made['load'][1]:.1f}" for made in comparisons)
    text = f"{table(comparisons)}\n\nweights: {report['weights']}; load of the machine during the runs: {loads}\n"
    for suffix, content in ((".md", text), (".json", json.dumps(report, indent=2) + "\n")):
        with atomic_path(options.output / f"pop2piano{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
