import numpy as np
import pytest

from spartito.audio.chunks import spectrum, windows
from spartito.audio.features import front_end

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "size"),
    [("default", 1), ("default", 700), ("default", 16_000), ("default", 50_001), ("jongwook", 50_001)],
)
def test_windowed_spectrum_equals_the_whole(name, size):
    samples = RNG.standard_normal(size).astype(np.float32)
    transform = front_end(name)
    whole = transform(samples)
    pieces = spectrum(samples, transform, frames=37)
    assert whole.shape == pieces.shape == (-(-size // transform.hop), transform.bins)
    inner = slice(5, -5) if name == "jongwook" else slice(None)  # a window reflects at its own edges
    np.testing.assert_allclose(whole[inner], pieces[inner], atol=2e-3 if name == "jongwook" else 1e-5)


def test_margins_overlap_and_are_silent_outside():
    samples = 0.1 * RNG.standard_normal(256 * 100).astype(np.float32)
    transform = front_end("default")
    whole = transform(samples)
    silence = transform(np.zeros(256, dtype=np.float32))[0]
    seen = list(windows(samples, transform, frames=40, margin=10))
    assert [first for first, _ in seen] == [0, 40, 80]
    assert [len(part) for _, part in seen] == [60, 60, 40]
    np.testing.assert_allclose(seen[0][1][:10], np.broadcast_to(silence, (10, len(silence))))
    np.testing.assert_allclose(seen[1][1], whole[30:90], atol=1e-5)
    np.testing.assert_allclose(seen[2][1][:30], whole[70:], atol=1e-5)
    np.testing.assert_allclose(seen[2][1][30:], np.broadcast_to(silence, (10, len(silence))))


def test_nothing_gives_nothing():
    assert spectrum(np.zeros(0, dtype=np.float32), front_end("default")).shape == (0, front_end("default").bins)
