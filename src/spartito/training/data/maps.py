"""MAPS: nine pianos, thirty pieces each (Emiya, Badeau, David, IEEE TASLP 2010).

Two layouts are read: the original, `<piano>/MUS/MAPS_MUS-<piece>_<piano>.{wav,mid,txt}`, and the one of the public
PyTorch port of Onsets and Frames, `flac/MAPS_MUS-<piece>_<piano>.flac` with `tsv/matched/<same>.tsv`.

Seven software pianos train, the two recordings of a real Disklavier (ENSTDkAm, ENSTDkCl) test. Pieces of the test
pianos are also played by the software pianos: protocol `strict` leaves them out of training, `all` keeps them
(figures of the two must not stand in one table). 15 % of the training *compositions* are for validation.

Licence: Creative Commons, non-commercial, share-alike; weights trained on it inherit that.
"""

from __future__ import annotations

from pathlib import Path

from spartito.errors import ParameterError
from spartito.training.data.recordings import Recording, share_of

__all__ = ["list_maps"]

TEST_PIANOS = ("ENSTDkAm", "ENSTDkCl")
VALIDATION_SHARE = 0.15  # of the training compositions


def list_maps(root: Path, *, protocol: str = "strict") -> list[Recording]:
    """Recordings of MAPS below `root`, those with both audio and labels present.

    Raises ParameterError when there are none, or for an unknown protocol.
    """
    if protocol not in ("strict", "all"):
        raise ParameterError(f"the protocol is 'strict' or 'all', not {protocol!r}")
    found = []
    for audio in sorted([*Path(root).rglob("MAPS_MUS-*.flac"), *Path(root).rglob("MAPS_MUS-*.wav")]):
        table = audio.parent.parent / "tsv" / "matched" / f"{audio.stem}.tsv"
        midi = audio.with_suffix(".mid")
        labels = table if table.exists() else midi
        if labels.exists():
            composition, piano = audio.stem.removeprefix("MAPS_MUS-").rsplit("_", 1)
            found.append((audio, labels, composition, piano))
    if not found:
        raise ParameterError(f"{root} holds no MAPS recordings with labels (MAPS_MUS-<piece>_<piano>.flac or .wav)")
    tested = {  # from labels too: a copy may hold the labels of a test recording without its audio
        path.stem.removeprefix("MAPS_MUS-").rsplit("_", 1)[0]
        for piano in TEST_PIANOS
        for path in Path(root).rglob(f"MAPS_MUS-*_{piano}.*")
    }
    recordings = []
    for audio, labels, composition, piano in found:
        if piano in TEST_PIANOS:
            split = "test"
        elif composition in tested and protocol == "strict":
            continue
        else:
            split = "validation" if share_of(composition) < VALIDATION_SHARE else "train"
        pedal_known = labels.suffix == ".mid"
        recordings.append(Recording(audio.stem, audio, labels, composition, split, pedal_known))
    return recordings
