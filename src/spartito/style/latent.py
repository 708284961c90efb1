"""What a composer does with the latent space: `blend`, `sample` and `edit`.

    import spartito

    steps = spartito.blend("a.mid", "b.mid", steps=8)           # eight pieces, the first is a and the last is b
    tunes = spartito.sample(genre="jazz", bars=16, seed=3)      # new music from the petal of a genre
    busier = spartito.edit("song.mid", density=1, keep="bass")  # a slider step is one standard deviation

The models are those of `spartito models` whose job is `latent`: two bars or sixteen of a band (drums, bass, guitar or
piano, strings), and two bars of piano. `docs/latent.md` says what each knob does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from spartito.analysis.beats import Beats
from spartito.errors import ParameterError
from spartito.notes.notes import Notes
from spartito.style.latent_song import LatentSong, read_song, warn_of

__all__ = ["MODELS", "blend", "blended", "edit", "edited_song", "open_space", "sample", "sampled"]

MODELS = {"band": "latent", "piano": "latent-piano"}  # layout -> the model that edits and blends
READING = 0.1  # of the progress bar


@lru_cache(maxsize=4)
def open_space(name: str, device: str = "auto", threads: int = 0):
    """The latent model of that name or folder, kept for the next piece."""
    from spartito.models.musae_runtime import open_latent

    return open_latent(name, device=device, threads=threads)


def _model(model, default: str, device: str):
    """A model by name, by folder, as it is, or the usual one."""
    if model is None:
        model = default
    if isinstance(model, (str, os.PathLike)):
        from spartito.outputs import THREADS

        return open_space(os.fspath(model), device, int(os.environ.get(THREADS, 0)))
    return model


def _song(source, beats, layout, *, name: str = "") -> LatentSong:
    song = read_song(source, beats=beats, layout=layout)
    warn_of(song, name=name)
    return song


# -- blend ----------------------------------------------------------------------------------------------------------


def blend(
    a: str | os.PathLike | Notes,
    b: str | os.PathLike | Notes,
    *,
    steps: int = 8,
    path: str = "linear",
    keys: str = "glide",
    length: str = "auto",
    pull: float | None = None,
    morph: bool = False,
    layout: str | None = None,
    model=None,
    temperature: float = 0.0,
    seed: int = 0,
    reconstruct: bool = False,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    report: dict | None = None,
) -> list[Notes]:
    """Pieces on the way from one song to another.

    Parameters
    ----------
    a, b : path or Notes
        Two songs for bands, or two piano pieces.
    steps : int
        Pieces; the first is a and the last is b, exactly.
    path : "linear", "spherical" or "petals"
        The way between their codes: straight; along great circles; past the petals of the genres between.
    keys : "glide", "first" or "keep"
        b is transposed by the nearest interval into the key of a, and on the way the key goes back to its own; or all
        stays in the key of a, the last piece, too; or the keys are mixed as they are.
    length : "auto", "common" or "longest"
        Of songs of different length the shorter one repeats ("longest"), or the longer one ends where it ends
        ("common"). "auto": up to 16 bars are a loop, which repeats.
    pull : float, optional
        Nats by which the pieces between are drawn to what a and b do; 0 leaves it to the model.
    morph : bool
        Give one piece more, at the end: it begins as a and ends as b.
    layout : "band" or "piano", optional
        How both are read; default: as piano when only pianos play.
    model : name, folder or model, optional
    temperature, seed : noise on the choices, for variants
    reconstruct : bool
        The likeliest states of the codes between, nothing of the songs themselves.
    report : dict, optional
        Filled with what was done.

    Raises
    ------
    NotesError, ParameterError, ModelError
    """
    pieces, more, told = blended(
        a,
        b,
        steps=steps,
        path=path,
        keys=keys,
        length=length,
        pull=pull,
        morph=morph,
        layout=layout,
        model=model,
        temperature=temperature,
        seed=seed,
        reconstruct=reconstruct,
        device=device,
        progress=progress,
    )
    if report is not None:
        report |= told
    return [piece.notes for piece in pieces] + ([more.notes] if more else [])


def blended(a, b, *, morph=False, layout=None, model=None, device="auto", progress=None, pull=None, **settings):
    """As `blend`: the pieces with states and figures (`latent_blend.Blended`), the morph or None, and the report."""
    from spartito.style.latent_blend import BlendSettings, blend_pair, morph_pair

    settings = BlendSettings(**settings, **({} if pull is None else {"pull": float(pull)}))
    songs = [_song(source, None, layout, name=name) for source, name in ((a, "a"), (b, "b"))]
    if progress is not None:
        progress(READING)
    model = _model(model, MODELS[songs[0].layout.name], device)
    pieces, pair = blend_pair(
        model,
        *songs,
        settings,
        progress=None if progress is None else lambda part: progress(READING + (1 - READING) * part),
    )
    more = morph_pair(model, pair, pieces) if morph else None
    told = pair.report() | {"model": model.name, "steps": [piece.details for piece in pieces]}
    if more:
        told["morph"] = more.details
    return pieces, more, told


# -- sample ---------------------------------------------------------------------------------------------------------


def sample(
    *,
    genre: str | Mapping[str, float] = "",
    bars: int = 16,
    count: int = 1,
    seed: int = 0,
    piano: bool = False,
    temperature: float = 0.0,
    hold_bias: float = 0.0,
    tempo: float | None = None,
    model=None,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    report: dict | None = None,
) -> list[Notes]:
    """New music, drawn from the prior of a latent model.

    Parameters
    ----------
    genre : tag, or shares of several
        "jazz", "jazz:0.5,pop:0.5" or {"jazz": 0.5, "pop": 0.5}; without one, music of no genre.
    bars : int
        From 8 on a band plays from the model of sixteen bars, else (and a piano always) from that of two.
    count, seed : int
        Pieces, and what draws the first; the next has the next seed.
    piano : bool
        Two hands on a piano instead of a band.
    temperature : float
        0: the likeliest state of each cell; 1: as the model would draw it.
    hold_bias : float
        Nats added to 'as before'; below 0 more happens.
    tempo : float, optional
        Quarter notes per minute; default: what is usual in the genre.
    model : name, folder or model, optional

    Raises
    ------
    NotesError
        A piece came out nearly silent however often it was drawn.
    ParameterError, ModelError
    """
    pieces = sampled(
        genre=genre,
        bars=bars,
        count=count,
        seed=seed,
        piano=piano,
        temperature=temperature,
        hold_bias=hold_bias,
        tempo=tempo,
        model=model,
        device=device,
        progress=progress,
    )
    if report is not None:
        report["pieces"] = [piece.report() for piece in pieces]
    return [piece.notes for piece in pieces]


def sampled(*, genre="", model=None, device="auto", progress=None, **settings):
    """As `sample`: the pieces with states and figures (`latent_sample.Sampled`)."""
    from spartito.style.latent_edit import parse_shares
    from spartito.style.latent_sample import SampleSettings, model_for, sample_pieces

    settings = SampleSettings(genre=parse_shares(genre), **settings)
    model = _model(model, model_for(settings), device)
    if settings.piano and not model.layout.together:
        raise ParameterError(f"model {model.name} plays bands, not a piano")
    return sample_pieces(model, settings, progress=progress)


# -- edit -----------------------------------------------------------------------------------------------------------


def edit(
    source: str | os.PathLike | Notes,
    *,
    density: float | None = None,
    duration: float | None = None,
    pitch_range: float | None = None,
    pitch: float | None = None,
    syncopation: float | None = None,
    voices: float | None = None,
    genre: str | Mapping[str, float] = "",
    keep: str | Sequence[str] = (),
    bars: str | tuple[int, int] | None = None,
    calibrate: bool = True,
    weight: float | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    reconstruct: bool = False,
    beats: Beats | None = None,
    layout: str | None = None,
    model=None,
    device: str = "auto",
    progress: Callable[[float], None] | None = None,
    report: dict | None = None,
) -> Notes:
    """A song with its sliders moved, or turned towards another genre.

    Parameters
    ----------
    source : path or Notes
        A song for a band (with or without drums, bass, ...), or a piano piece.
    density, duration, pitch_range, pitch, syncopation, voices : float, optional
        Slider steps; one is a standard deviation of the measured attribute. 0 asks for it to stay.
    genre : tag, or shares of several
        How far to go: "rock:0.6" or {"rock": 0.6}.
    keep : words
        Tracks that stay to the last bit: drums, bass, guitar, strings; of a piano right, left.
    bars : "9-16" or (9, 16), optional
        Bars that may change, counted from 1; all others stay to the last bit.
    calibrate : bool
        Measure what comes out, and move codes until it meets the wish. False: move them once, as they were trained.
    weight : float, optional
        Nats by which the source is preferred in every cell; higher changes less.
    temperature, seed : noise on the choices, for variants
    reconstruct : bool
        The likeliest states of the codes instead of differences.
    beats : Beats, optional
    layout : "band" or "piano", optional
    model : name, folder or model, optional
    report : dict, optional
        Filled with what was asked and what was reached.

    Returns
    -------
    Notes
        With the clock, instruments, controls, lyrics and markers of the source; without a wish, the source itself.

    Raises
    ------
    NotesError, ParameterError, ModelError
    """
    sliders = {
        "density": density,
        "duration": duration,
        "pitch_range": pitch_range,
        "pitch": pitch,
        "syncopation": syncopation,
        "voices": voices,
    }
    result = edited_song(
        source,
        attributes={name: float(steps) for name, steps in sliders.items() if steps is not None},
        genre=genre,
        keep=keep,
        bars=bars,
        calibrate=calibrate,
        weight=weight,
        temperature=temperature,
        seed=seed,
        reconstruct=reconstruct,
        beats=beats,
        layout=layout,
        model=model,
        device=device,
        progress=progress,
    )
    if report is not None:
        report |= result.report()
    return result.notes


def edited_song(
    source,
    *,
    attributes: Mapping[str, float],
    genre="",
    keep=(),
    bars=None,
    weight=None,
    beats=None,
    layout=None,
    model=None,
    device="auto",
    progress=None,
    **settings,
):
    """As `edit`, with how it came about (`latent_edit.Edited`)."""
    from spartito.style.latent_edit import EditSettings, edit_song, parse_bars, parse_shares

    settings = EditSettings(
        attributes=dict(attributes),
        genre=parse_shares(genre),
        keep=tuple(keep.replace(",", " ").split()) if isinstance(keep, str) else tuple(keep),
        bars=parse_bars(bars) if isinstance(bars, str) else bars,
        **settings,
        **({} if weight is None else {"weight": float(weight)}),
    )
    song = _song(source, beats, layout)
    if progress is not None:
        progress(READING)
    model = _model(model, MODELS[song.layout.name], device)
    return edit_song(
        model,
        song,
        settings,
        progress=None if progress is None else lambda part: progress(READING + (1 - READING) * part),
    )
