"""The network of the song analyzer: shapes, transposition, and the graph that ships."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spartito.audio.features import front_end  # noqa: E402
from spartito.models.song_analyzer import KEYS, LOWEST_KEY, SongAnalyzer, SongAnalyzerConfig  # noqa: E402
from spartito.models.song_outputs import HIGHEST_VOICE, LOWEST_VOICE, OUTPUTS, QUALITIES, chord_class  # noqa: E402

TINY = SongAnalyzerConfig(
    channels=4, classes=8, class_dilations=(1,), stem=(4, 4), rhythm=8, rhythm_dilations=(1, 2), melody_dilations=(1,)
)
BINS = front_end("default").bins


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SongAnalyzer(TINY).eval()


def said(network, spectrum):
    with torch.no_grad():
        return dict(zip(OUTPUTS, (y[0].numpy() for y in network(torch.from_numpy(spectrum)[None])), strict=True))


def test_shapes(network):
    found = said(network, np.zeros((64, BINS), dtype=np.float32))
    assert {name: y.shape for name, y in found.items()} == {
        "beat": (3, 64),
        "chord": (1 + 12 * len(QUALITIES), 8),
        "bass": (13, 8),
        "key": (24, 8),
        "melody": (2 + HIGHEST_VOICE - LOWEST_VOICE, 32),
    }


def test_the_shipped_size_stays_within_its_bounds():
    full = SongAnalyzer()
    assert sum(p.numel() for p in full.parameters()) < 1_000_000
    assert full.config.reach / 62.5 >= 8.0


def test_all_pitch_classes_share_their_weights(network):
    """What a key changes in the pitch classes turns by one class when it moves by a semitone within its octave."""
    turned = []
    for pitch in (64, 65):
        keys = torch.zeros(1, TINY.channels, 16, KEYS)
        with torch.no_grad():
            silence = network._classes(keys)
            keys[..., pitch - LOWEST_KEY] = torch.arange(1.0, TINY.channels + 1)[None, :, None]
            turned.append((network._classes(keys) - silence).numpy())
    assert np.abs(turned[0]).max() > 1e-3
    assert np.allclose(turned[1], np.roll(turned[0], 1, axis=3), atol=1e-6)


def test_the_octaves_begin_with_c(network):
    """A C moves the twelve classes as an A does, turned by nine."""
    with torch.no_grad():
        changes = []
        for pitch in (60, 69):  # the same octave
            keys = torch.zeros(1, TINY.channels, 16, KEYS)
            silence = network._classes(keys)
            keys[..., pitch - LOWEST_KEY] = 1.0
            changes.append((network._classes(keys) - silence).numpy())
    assert np.allclose(changes[1], np.roll(changes[0], 9, axis=3), atol=1e-6)


def test_nothing_beyond_the_reach_is_heard(network):
    rng = np.random.default_rng(1)
    reach = TINY.reach
    spectrum = rng.normal(-7.0, 2.0, (2 * reach + 64, BINS)).astype(np.float32)
    other = spectrum.copy()
    other[:8] += 3.0
    before, after = said(network, spectrum), said(network, other)
    for name in OUTPUTS:
        step = len(spectrum) // before[name].shape[1]
        far = (8 + reach) // step
        assert np.abs(before[name][:, far:] - after[name][:, far:]).max() < 1e-5
        assert np.abs(before[name][:, 0] - after[name][:, 0]).max() > 1e-3


def test_graph_equals_network(network, tmp_path):
    pytest.importorskip("onnx")
    from dataclasses import replace

    from spartito.models.runtime import open_graph
    from spartito.training.analysis import AnalysisRecipe, export
    from spartito.training.transcription import open_weights

    folder = export(network, replace(AnalysisRecipe(), network=TINY), tmp_path / "model")
    halved = SongAnalyzer(TINY).eval()
    halved.load_state_dict(open_weights(folder / "model.safetensors"), strict=False)
    graph = open_graph(folder / "model.onnx", threads=1)
    for frames in (64, 200):
        spectrum = np.random.default_rng(2).normal(-7.0, 2.0, (frames, BINS)).astype(np.float32)
        wanted = said(halved, spectrum)
        for name, found in zip(OUTPUTS, graph({"spectrum": spectrum[None]}), strict=True):
            assert np.abs(found[0] - wanted[name]).max() < 1e-4, name


@pytest.mark.parametrize(
    ("label", "kind", "root"),
    [
        ("C:maj", "maj", 0),
        ("F#:min7/b7", "min7", 6),
        ("G:9", "7", 7),
        ("D:sus4(b7)", "sus4", 2),
        ("A:maj6", "maj", 9),
        ("A:min6", "min", 9),
        ("B:dim7", "dim", 11),
        ("E:5", "maj", 4),
    ],
)
def test_every_chord_has_a_class(label, kind, root):
    assert chord_class(label) == 1 + 12 * QUALITIES.index(kind) + root


def test_no_chord_is_class_0():
    assert chord_class("N") == chord_class("X") == 0
