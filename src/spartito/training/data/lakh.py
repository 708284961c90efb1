"""The data of the published latent space: LMD-matched, with the genre words of the Million Song Dataset.

Layout
    `ROOT/X/Y/Z/<track id>/<anything>.mid`, where X, Y, Z are the third to fifth letters of the id, TR and sixteen more.
    The words ("artist terms", of the artist, best first) come from

    - a table: CSV with the columns `track_id`, `terms` (parted by ;) and, if known, `artist`; or JSON
      {track id: [words]} or {track id: {"terms": [words], "artist": "..."}}; or
    - the folder of the Million Song Dataset's own files, `X/Y/Z/<track id>.h5`, for which h5py must be installed.

Method
    The most frequent words among accepted songs are the tags (32 published, which cover a third of all words). Splits
    are by artist, else by song: words belong to artists. C. Raffel, 'Learning-based methods for comparing sequences,
    with applications to audio-to-MIDI alignment and matching' (PhD, 2016); T. Bertin-Mahieux et al., 'The Million Song
    Dataset' (ISMIR 2011). Nothing of either comes with this program.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spartito.errors import MissingExtraError, NotesError, ParameterError
from spartito.notes.midi import MIDI_SUFFIXES, read_midi
from spartito.training.data.band_store import COMBINATIONS, BandPiece, bands_of

__all__ = ["LakhSong", "lakh_bands", "list_lakh", "read_terms", "top_terms"]

TRACK_ID = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}$")
TAGS = 32  # published


@dataclass(frozen=True)
class LakhSong:
    """One song: its MIDI files, the words of its artist, and the artist (empty when unknown)."""

    track_id: str
    files: tuple[Path, ...]
    terms: tuple[str, ...] = ()
    artist: str = ""


def list_lakh(root: Path, terms: dict[str, tuple[tuple[str, ...], str]] | None = None) -> list[LakhSong]:
    """Songs below `root`, by id. Raises ParameterError when nothing is laid out so."""
    files: dict[str, list[Path]] = {}
    for path in sorted(Path(root).glob("?/?/?/*/*")):
        track = path.parent.name
        where = path.parent.parent.parts[-3:]
        if path.suffix.lower() in MIDI_SUFFIXES and TRACK_ID.match(track) and where == tuple(track[2:5]):
            files.setdefault(track, []).append(path)
    if not files:
        raise ParameterError(f"{root} is not laid out as LMD-matched: A/B/C/TRABC.../*.mid")
    known = terms or {}
    return [LakhSong(track, tuple(paths), *known.get(track, ((), ""))) for track, paths in sorted(files.items())]


def read_terms(source: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Words and artist by track id, from a table (.csv, .json) or from a folder of .h5 files."""
    source = Path(source)
    if source.is_dir():
        return dict(_read_h5(path) for path in sorted(source.rglob("*.h5")))
    try:
        text = source.read_text(encoding="utf-8-sig")
        if source.suffix.lower() == ".json":
            rows = {
                track: (found, "") if isinstance(found, list) else (found["terms"], found.get("artist", ""))
                for track, found in json.loads(text).items()
            }
        else:
            rows = {
                row["track_id"]: (row["terms"].split(";"), row.get("artist") or "")
                for row in csv.DictReader(text.splitlines())
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(
            f"{source} is no table of genre words: CSV with track_id and terms, or JSON by track id"
        ) from error
    return {track: (_words(words), str(artist)) for track, (words, artist) in rows.items()}


def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip().lower() for word in words if word.strip()))


def _read_h5(path: Path) -> tuple[str, tuple[tuple[str, ...], str]]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", extra="h5py", purpose="reading .h5 files; a CSV table needs none") from error
    with h5py.File(path) as file:
        words = [word.decode() for word in file["metadata/artist_terms"][:]]
        artist = file["metadata/songs"]["artist_id"][0].decode()
    return path.stem, (_words(words), artist)


def lakh_bands(
    songs: Iterable[LakhSong], *, most: int = COMBINATIONS, report: Callable[[str], None] = print, **rules
) -> Iterator[BandPiece]:
    """The bands of songs, at most `most` of one song from all its files (0: all); `rules` as `bands_of` takes them."""
    passed: Counter[str] = Counter()
    for song in songs:
        left = most
        for path in song.files:
            try:
                for piece in bands_of(
                    read_midi(path),
                    name=f"{song.track_id}/{path.stem}",
                    song=song.artist or song.track_id,
                    tags=song.terms,
                    licence="unclear",
                    most=left,
                    **rules,
                ):
                    left -= 1 if most else 0
                    yield piece
            except NotesError as error:
                passed[str(error) if path.name not in str(error) else "the file is damaged"] += 1
            if most and left == 0:
                break
    for reason, count in passed.most_common():
        report(f"{count} files passed over: {reason}")


def top_terms(pieces: Iterable[BandPiece], *, count: int = TAGS) -> list[str]:
    """The words that most accepted songs have, the most frequent first; of equally frequent ones by the alphabet.

    All bands of one song (name up to /) count once.
    """
    songs = {piece.name.partition("/")[0]: piece.tags for piece in pieces}
    counts = Counter(tag for tags in songs.values() for tag in tags)
    return [tag for tag, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count]]
