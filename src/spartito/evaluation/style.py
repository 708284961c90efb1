"""How much of a piece is left, and how much is new, after it was put into another genre.

Job
    Measures of a transfer against the piece it was made from, on rolls of sixteenths (`notes.phrases`). All of them
    take (n, 2, steps, 84) arrays of n phrases, channel 0 onsets and channel 1 keys that sound, column 0 MIDI 24, and
    give one number per phrase, (n,) floats. nan stands where there is nothing to measure. A whole piece is one long
    phrase.

    What is kept
    chroma_sim      cosine of the pitch classes that sound, in windows of two beats from every beat; mean over the
                    windows in which either side sounds
    melody_recall   share of the onsets of the source's top line that are struck in the same step with the same pitch
                    class; `melody_strict`: the same pitch; `melody_near`: pitch class, a step early or late (swing)
    groove_sim      cosine of the onsets counted at the sixteen steps of a bar, smoothed by 1 4 1; mean over the bars
    onset_f1        F1 of the onsets, same step and pitch
    content_diff    share of the cells that sound on one side only (the published ranking file's Content_diff)
    density_ratio   onsets for each of the source
    range_change    semitones from the lowest to the highest onset, less that of the source
    out_of_scale    share of the onsets outside the seven-note scale that fits the source best
    empty           1 where the source has notes and the transfer has none

    What is new
    style_fit       how much nearer the pairs of notes are to those of the target genre than of the source genre:
                    histogram of pairs by distance in time (below two beats) and interval (within 20 semitones),
                    cosine with the mean histogram of the target, less that with the source's

    What a listener or a player objects to (no best value: compare with the source and with phrases of the target)
    clashes         share of the onsets that sound against a note a minor second or a minor ninth away
    crumbs          share of the onsets that last one step and have no other onset in that step

    What shows
    seam_density    how much more the onsets per bar change where windows met than at other bar lines, in means of the
                    piece, beyond what the source does there
    seam_chroma     the same of the pitch classes of neighbouring bars (1 - cosine)

    Of the source itself all similarities are 1, which is no achievement: read them together with the strength
    (`evaluation.strength`).

Sources
    Chroma similarity ('content preservation') and pair histogram ('style fit'): O. Cífka, U. Şimşekli, G. Richard,
    'Supervised symbolic music style translation using synthetic data' (ISMIR 2019), and 'Groove2Groove' (IEEE/ACM
    TASLP 28, 2020). Grooves by the bar: S.-L. Wu, Y.-H. Yang, 'MuseMorphose' (IEEE/ACM TASLP 31, 2023). Top line:
    A. L. Uitdenbogerd, J. Zobel (ACM Multimedia 1998). Content_diff: G. Brunner et al., 'Symbolic music genre transfer
    with CycleGAN' (ICTAI 2018). Different: four places a beat, so the histogram has 8 steps in time where the original
    has 12 sixths of a beat; velocities do not count.
"""

from __future__ import annotations

import numpy as np

from spartito.errors import ParameterError

__all__ = [
    "chroma_similarity",
    "clashes",
    "compare",
    "content_difference",
    "crumbs",
    "density_ratio",
    "empty",
    "genre_profile",
    "groove_similarity",
    "melody_recall",
    "onset_f1",
    "out_of_scale",
    "pair_profile",
    "range_change",
    "seams",
    "style_fit",
    "top_line",
]

ONSET, SOUND = 0, 1  # channels
STEPS = 4  # per beat
BAR = 16  # steps
KEYS = 84
WINDOW = 2  # beats of chroma taken together
SMOOTHING = (1.0, 4.0, 1.0)  # weights of the step before, the step, the step after
LAGS = 8  # steps, two beats: pairs of notes less than this apart
INTERVAL = 20  # semitones between two notes of a pair at most
CLASHING = (1, 13)  # semitones; major sevenths are chord tones in jazz
SCALE = (0, 2, 4, 5, 7, 9, 11)
CHUNK = 256  # phrases whose pairs are counted at once; bounds the memory at 7 MB a lag


def compare(reference: np.ndarray, estimate: np.ndarray, *, target=None, source=None, tune=None) -> dict:
    """All measures of the transfers `estimate` of the phrases `reference`, by the names above, each (n,).

    Parameters
    ----------
    reference, estimate : np.ndarray, shape=(n, 2, steps, 84)
    target, source : np.ndarray, shape=(8, 41), optional
        Mean pair profiles (`genre_profile`) of the genre aimed at and of the one left; without them no style_fit.
    tune : np.ndarray, shape=(n, steps, 84), bool, optional
        Onsets of the tune, where it is known; default: `top_line(reference)`.
    """
    _alike(reference, estimate)
    measures = {
        "chroma_sim": chroma_similarity(reference, estimate),
        "melody_recall": melody_recall(reference, estimate, tune=tune),
        "melody_strict": melody_recall(reference, estimate, strict=True, tune=tune),
        "melody_near": melody_recall(reference, estimate, reach=1, tune=tune),
        "groove_sim": groove_similarity(reference, estimate),
        "onset_f1": onset_f1(reference, estimate),
        "content_diff": content_difference(reference, estimate),
        "density_ratio": density_ratio(reference, estimate),
        "range_change": range_change(reference, estimate),
        "out_of_scale": out_of_scale(reference, estimate),
        "empty": empty(reference, estimate),
        "clashes": clashes(estimate),
        "crumbs": crumbs(estimate),
    }
    if target is not None and source is not None:
        measures["style_fit"] = style_fit(estimate, target, source)
    return measures


# -- what is kept ---------------------------------------------------------------------------------------------


def chroma_similarity(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) mean cosine of the pitch classes in windows of two beats."""
    a, b = _chroma(reference), _chroma(estimate)  # (n, beats, 12)
    cosine = _cosine(a, b)
    counted = (a.any(axis=2) | b.any(axis=2)).sum(axis=1)
    return _ratio(cosine.sum(axis=1), counted)


def top_line(rolls: np.ndarray) -> np.ndarray:
    """(n, steps, 84) bool: onsets over which nothing sounds. `notes.skyline` leaves out what is no tune of them."""
    sounding = (rolls[:, SOUND] > 0) | (rolls[:, ONSET] > 0)
    top = KEYS - 1 - sounding[:, :, ::-1].argmax(axis=2)  # (n, steps); of silence the highest key, never an onset
    return (rolls[:, ONSET] > 0) & (np.arange(KEYS) == top[:, :, None])


def melody_recall(
    reference: np.ndarray, estimate: np.ndarray, *, strict: bool = False, reach: int = 0, tune=None
) -> np.ndarray:
    """(n,) share of the tune's onsets that are struck, in any octave unless `strict`, up to `reach` steps off."""
    tune = top_line(reference) if tune is None else np.asarray(tune, dtype=bool)
    struck = estimate[:, ONSET] > 0
    if not strict:
        tune, struck = _classes(tune) > 0, _classes(struck) > 0
    for _ in range(reach):
        wide = struck.copy()
        wide[:, 1:] |= struck[:, :-1]
        wide[:, :-1] |= struck[:, 1:]
        struck = wide
    return _ratio((tune & struck).sum(axis=(1, 2)), tune.sum(axis=(1, 2)))


def groove_similarity(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) mean over the bars, from the first step on, of the cosine of their smoothed onset counts."""
    a, b = (_grooves(rolls) for rolls in (reference, estimate))  # (n, bars, 16)
    counted = (a.any(axis=2) | b.any(axis=2)).sum(axis=1)
    return _ratio(_cosine(a, b).sum(axis=1), counted)


def onset_f1(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) F1 of the onsets, same step and same pitch."""
    a, b = reference[:, ONSET] > 0, estimate[:, ONSET] > 0
    return _ratio(2.0 * (a & b).sum(axis=(1, 2)), a.sum(axis=(1, 2)) + b.sum(axis=(1, 2)))


def content_difference(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) share of the cells that sound on one side only."""
    return ((reference[:, SOUND] > 0) != (estimate[:, SOUND] > 0)).mean(axis=(1, 2))


def density_ratio(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) onsets of the transfer for each of the source."""
    return _ratio((estimate[:, ONSET] > 0).sum(axis=(1, 2)), (reference[:, ONSET] > 0).sum(axis=(1, 2)))


def range_change(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) semitones by which the span of the onsets grew; nan where a side is silent."""
    spans = []
    for rolls in (reference, estimate):
        keys = (rolls[:, ONSET] > 0).any(axis=1)  # (n, 84)
        span = KEYS - 1 - keys[:, ::-1].argmax(axis=1) - keys.argmax(axis=1)
        spans.append(np.where(keys.any(axis=1), span.astype(np.float64), np.nan))
    return spans[1] - spans[0]


def out_of_scale(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) share of the transfer's onsets outside the major scale that holds most of the source's."""
    scales = np.zeros((12, 12))  # (tonic, pitch class)
    scales[np.arange(12)[:, None], (np.arange(12)[:, None] + SCALE) % 12] = 1
    ours, theirs = (_classes(rolls[:, ONSET] > 0).sum(axis=1) for rolls in (reference, estimate))  # (n, 12)
    inside = scales[(ours @ scales.T).argmax(axis=1)]
    return _ratio((theirs * (1 - inside)).sum(axis=1), theirs.sum(axis=1))


def empty(reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """(n,) 1 where nothing is left of something, nan where there was nothing."""
    there = (reference[:, ONSET] > 0).any(axis=(1, 2))
    gone = ~(estimate[:, ONSET] > 0).any(axis=(1, 2))
    return np.where(there, gone.astype(np.float64), np.nan)


# -- what is new ----------------------------------------------------------------------------------------------


def pair_profile(rolls: np.ndarray) -> np.ndarray:
    """(n, 8, 41) shares of the pairs of onsets by steps between them and interval, -20 .. 20 semitones.

    Two notes struck together are a pair twice, up and down; a note is no pair with itself. Zero where there are none.
    """
    struck = rolls[:, ONSET] > 0
    out = np.zeros((len(struck), LAGS, 2 * INTERVAL + 1))
    for first in range(0, len(struck), CHUNK):
        part = struck[first : first + CHUNK].astype(np.float32)
        for lag in range(LAGS):
            early, late = part[:, : part.shape[1] - lag], part[:, lag:]
            pairs = early.transpose(0, 2, 1) @ late  # (chunk, 84 from, 84 to)
            for interval in range(-INTERVAL, INTERVAL + 1):
                counts = np.trace(pairs, offset=interval, axis1=1, axis2=2)
                out[first : first + CHUNK, lag, INTERVAL + interval] = counts
    out[:, 0, INTERVAL] = 0.0
    return out / np.maximum(out.sum(axis=(1, 2), keepdims=True), 1.0)


def genre_profile(rolls: np.ndarray) -> np.ndarray:
    """(8, 41) mean of the profiles of the phrases (n, 2, steps, 84) of a genre, silent ones left out."""
    profiles = pair_profile(rolls)
    known = profiles.any(axis=(1, 2))
    if not known.any():
        raise ParameterError("a profile needs phrases in which two notes are less than two beats apart")
    return profiles[known].mean(axis=0)


def style_fit(estimate: np.ndarray, target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(n,) cosine of the pairs with the target genre's mean profile, less that with the source genre's; -1 .. 1."""
    profiles = pair_profile(estimate).reshape(len(estimate), -1)
    fits = [_cosine(profiles, np.asarray(genre, dtype=np.float64).reshape(1, -1)) for genre in (target, source)]
    return np.where(profiles.any(axis=1), fits[0] - fits[1], np.nan)


# -- what is objected to --------------------------------------------------------------------------------------


def clashes(rolls: np.ndarray) -> np.ndarray:
    """(n,) share of the onsets of (n, 2, steps, 84) that meet a sounding note 1 or 13 semitones away."""
    struck, sounds = rolls[:, ONSET] > 0, (rolls[:, SOUND] > 0) | (rolls[:, ONSET] > 0)
    against = np.zeros_like(struck)
    for interval in CLASHING:
        against[:, :, interval:] |= sounds[:, :, :-interval]
        against[:, :, :-interval] |= sounds[:, :, interval:]
    return _ratio((struck & against).sum(axis=(1, 2)), struck.sum(axis=(1, 2)))


def crumbs(rolls: np.ndarray) -> np.ndarray:
    """(n,) share of the onsets of (n, 2, steps, 84) that are struck alone and last a single step."""
    struck, sounds = rolls[:, ONSET] > 0, rolls[:, SOUND] > 0
    goes_on = np.zeros_like(struck)
    goes_on[:, :-1] = sounds[:, 1:] & ~struck[:, 1:]
    alone = struck.sum(axis=2, keepdims=True) == 1
    return _ratio((struck & ~goes_on & alone).sum(axis=(1, 2)), struck.sum(axis=(1, 2)))


# -- what shows -----------------------------------------------------------------------------------------------


def seams(reference: np.ndarray, estimate: np.ndarray, *, hop: int = 64, first: int = 0) -> dict[str, float]:
    """`seam_density` and `seam_chroma` of one piece; nan where there are not both kinds of bar lines.

    Parameters
    ----------
    reference, estimate : np.ndarray, shape=(2, steps, 84)
    hop, first : int
        Steps between the bar lines at which windows met, and a downbeat from which they are counted.
    """
    _alike(reference[None], estimate[None])
    jumps = [_jumps(rolls[:, first % BAR :]) for rolls in (reference, estimate)]  # each (2, lines)
    lines = first % BAR + BAR * np.arange(1, jumps[0].shape[1] + 1)
    border = (lines - first) % hop == 0
    if border.all() or not border.any():
        return {"seam_density": float("nan"), "seam_chroma": float("nan")}
    source, transfer = (jump[:, border].mean(axis=1) - jump[:, ~border].mean(axis=1) for jump in jumps)
    return {"seam_density": float(transfer[0] - source[0]), "seam_chroma": float(transfer[1] - source[1])}


def _jumps(rolls: np.ndarray) -> np.ndarray:
    """(2, bars - 1) change of the onsets and of the pitch classes at each bar line inside the piece."""
    bars = rolls.shape[1] // BAR
    cut = rolls[None, :, : bars * BAR]
    onsets = (cut[0, ONSET] > 0).reshape(bars, -1).sum(axis=1).astype(np.float64)
    classes = _classes(cut[:, SOUND] > 0).reshape(bars, BAR, 12).sum(axis=1)
    far = 1 - _cosine(classes[1:].astype(np.float64), classes[:-1].astype(np.float64))
    both_silent = ~classes[1:].any(axis=1) & ~classes[:-1].any(axis=1)
    steps = np.abs(np.diff(onsets)) / max(onsets.mean() if bars else 0.0, 1e-9)
    return np.stack([steps, np.where(both_silent, 0.0, far)])


# -- parts ----------------------------------------------------------------------------------------------------


def _alike(reference: np.ndarray, estimate: np.ndarray) -> None:
    if reference.shape != estimate.shape or reference.ndim != 4 or reference.shape[1::2] != (2, KEYS):
        raise ParameterError(
            f"two arrays of one shape (phrases, 2, steps, {KEYS}) are compared, "
            f"not {reference.shape} and {estimate.shape}"
        )


def _classes(cells: np.ndarray) -> np.ndarray:
    """(n, steps, 12) number of cells of (n, steps, 84) in each pitch class; column 0 is a C."""
    return cells.reshape(*cells.shape[:2], KEYS // 12, 12).sum(axis=2)


def _chroma(rolls: np.ndarray) -> np.ndarray:
    """(n, beats, 12) cells that sound in the two beats from each beat on."""
    classes = _classes(rolls[:, SOUND] > 0)
    beats = -(-classes.shape[1] // STEPS)
    padded = np.pad(classes, ((0, 0), (0, (beats + WINDOW - 1) * STEPS - classes.shape[1]), (0, 0)))
    each = padded.reshape(len(padded), -1, STEPS, 12).sum(axis=2)
    return sum(each[:, first : first + beats] for first in range(WINDOW)).astype(np.float64)


def _grooves(rolls: np.ndarray) -> np.ndarray:
    """(n, bars, 16) onsets per step, each shared with the steps beside it, over bar lines too."""
    counts = (rolls[:, ONSET] > 0).sum(axis=2).astype(np.float64)  # (n, steps)
    padded = np.pad(counts, ((0, 0), (1, 1)))
    smooth = sum(weight * padded[:, i : i + counts.shape[1]] for i, weight in enumerate(SMOOTHING))
    bars = -(-smooth.shape[1] // BAR)
    return np.pad(smooth, ((0, 0), (0, bars * BAR - smooth.shape[1]))).reshape(len(rolls), bars, BAR)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine over the last axis, 0 where a side is nothing."""
    product = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.where(product > 0, (a * b).sum(axis=-1) / np.where(product > 0, product, 1.0), 0.0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole as floats, nan where the whole is nothing."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
