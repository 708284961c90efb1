"""Beats of a recording by another program, in an environment of its own: `python beat_peers.py librosa IN OUT.beats`.

Imports nothing of spartito. librosa: `beat.beat_track` with its defaults (D. Ellis, 2007). madmom: eight recurrent
networks and a dynamic Bayesian network (S. Böck et al.), bars of three or four.
"""

import sys


def librosa_beats(source):
    import librosa

    samples, rate = librosa.load(source, sr=22_050)
    _, frames = librosa.beat.beat_track(y=samples, sr=rate)
    return [(time, None) for time in librosa.frames_to_time(frames, sr=rate)]


def madmom_beats(source):
    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    rows = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)(RNNDownBeatProcessor()(source))
    return [(time, int(number)) for time, number in rows]


if __name__ == "__main__":
    name, source, target = sys.argv[1:]
    with open(target, "w", encoding="utf-8") as file:
        for time, number in {"librosa": librosa_beats, "madmom": madmom_beats}[name](source):
            file.write(f"{time:.6f}\n" if number is None else f"{time:.6f}\t{number}\n")
