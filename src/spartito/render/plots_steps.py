"""Pictures of states: the steps of a blend, a sampled piece, or a song before and after an edit, one below the other.

Each panel is a piano roll over bars, a colour for each track of the layout; drums have lanes of their own below. With a
`reference` (the source of an edit, say) what it has, too, is pale, and what is new or elsewhere is in full colour.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from spartito.errors import NotesError
from spartito.files import atomic_path
from spartito.notes.four_tracks import BAR, SILENT, notes_of
from spartito.notes.layouts import BAND, Layout
from spartito.render.plots import BAR_LINE, CS, GRID, INK
from spartito.render.plots_style import _checked, _figure

__all__ = ["plot_steps"]

COLOURS = ("#555B61", "#0B6E4F", "#D55E00", "#1F77B4", "#7B4FA3", "#B8860B")  # drums, bass, guitar, strings, more
MAX_BARS = 16  # shown of each panel; what is longer is cut, and the title says so
MAX_PANELS = 24
WIDTH, PANEL_HEIGHT, HEAD = 11.0, 1.9, 0.8  # inches
LANE = 1.0  # height of a drum's lane, semitones
PALE = 0.28  # opacity of what the reference has, too
MARGIN = 2  # semitones around the lowest and highest note
THINNEST = 0.007  # of the panel, half the height of a note
GAP = 0.15  # steps, so that repeated notes come apart


def plot_steps(
    panels: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    *,
    layout: Layout = BAND,
    reference: np.ndarray | None = None,
    first_bar: int = 0,
    bars: int = MAX_BARS,
    title: str = "",
) -> None:
    """Draw states (T, V) of each of `panels` (heading -> states) into a .png, .svg or .pdf file.

    `first_bar` (from 0) is the first that is shown, `bars` how many.

    Raises NotesError when there is nothing to draw, ParameterError for another suffix, MissingExtraError without
    matplotlib.
    """
    path = _checked(path)
    chosen = list(panels)
    if len(chosen) > MAX_PANELS:
        chosen = [chosen[i] for i in np.unique(np.linspace(0, len(chosen) - 1, MAX_PANELS).round().astype(int))]
    start = BAR * first_bar
    longest = max((len(panels[name]) for name in chosen), default=0)
    stop = min(start + BAR * bars, longest)
    tables = {name: notes_of(panels[name]) for name in chosen}
    every = np.concatenate([t[(t[:, 0] < stop) & (t[:, 0] + t[:, 1] > start)] for t in tables.values()] or [[]])
    if len(every) == 0:
        raise NotesError("there are no notes to draw")
    drums = np.isin(every[:, 4], layout.drums)
    lanes = np.unique(every[drums, 2])
    pitched = every[~drums, 2] if (~drums).any() else np.array([60])
    low, high = int(pitched.min()) - MARGIN, int(pitched.max()) + MARGIN
    floor = low - LANE * (len(lanes) + 1) if len(lanes) else low

    figure = _figure((WIDTH, PANEL_HEIGHT * len(chosen) + HEAD))
    axes = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    for axis, name in zip(axes, chosen):
        table = tables[name]
        here = table[(table[:, 0] < stop) & (table[:, 0] + table[:, 1] > start)]
        height = np.where(
            np.isin(here[:, 4], layout.drums), floor + LANE * (1 + np.searchsorted(lanes, here[:, 2])), here[:, 2]
        )
        old = np.zeros(len(here), dtype=bool)
        if reference is not None and len(panels[name]) == len(reference):
            same = (panels[name] == reference) & (reference < SILENT)
            old = same[here[:, 0], here[:, 4]]
        axis.set_xlim(start, stop)
        axis.set_ylim(floor - 0.5, high + 0.5)
        _panel(axis, here, height, old, layout)
        for key in range(12 * (low // 12), high + 1, 12):
            axis.axhline(key - 0.5, color=GRID, linewidth=0.5, zorder=1)
        for line in range(start, stop + 1, BAR):
            axis.axvline(line, color=BAR_LINE, linewidth=0.7, alpha=0.7, zorder=1.5)
        axis.set_yticks([key for key in CS if low <= key <= high], [CS[k] for k in CS if low <= k <= high])
        axis.set_ylabel(name, fontsize=9, color=INK)
        axis.tick_params(colors=INK, labelsize=7)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    marks = np.arange(start, stop, BAR)
    axes[-1].set_xticks(marks, [str(int(bar)) for bar in marks // BAR + 1])
    axes[-1].set_xlabel("bar", fontsize=9, color=INK)
    _legend(figure, layout, np.unique(every[:, 4]))
    cut = f" (bars {first_bar + 1} to {stop // BAR})" if start or stop < longest else ""
    if title or cut:
        figure.suptitle(f"{title}{cut}".strip(), fontsize=11, color=INK)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())


def _panel(axis, table: np.ndarray, height: np.ndarray, old: np.ndarray, layout: Layout) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    drums = np.isin(table[:, 4], layout.drums)
    left = table[:, 0]
    right = left + np.where(drums, 1, table[:, 1]) - GAP
    half = max(0.45, THINNEST * np.ptp(axis.get_ylim()))
    bottom, top = height - half, height + half
    corners = np.stack(
        [np.column_stack(c) for c in ((left, bottom), (left, top), (right, top), (right, bottom))], axis=1
    )  # (n, 4 corners, 2 coordinates)
    colours = [to_rgba(COLOURS[v % len(COLOURS)], PALE if o else 1.0) for v, o in zip(table[:, 4].tolist(), old)]
    axis.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0, zorder=3), autolim=False)


def _legend(figure, layout: Layout, used: np.ndarray) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=COLOURS[v % len(COLOURS)], label=layout.tracks[v]) for v in used.tolist()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
