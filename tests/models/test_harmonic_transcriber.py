import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spartito.audio.features import BINS_PER_SEMITONE, bin_of_pitch, front_end  # noqa: E402
from spartito.models.harmonic_transcriber import HarmonicTranscriber, HarmonicTranscriberConfig  # noqa: E402

BINS = front_end("default").bins
TINY = HarmonicTranscriberConfig(channels=8, neighbour_layers=1, time_dilations=(1, 2), pedal_channels=4)


def network(config=TINY):
    torch.manual_seed(0)
    return HarmonicTranscriber(config).eval()


def test_shapes_and_size():
    keys, pedal = network()(torch.zeros(3, 20, BINS))
    assert keys.shape == (3, 4, 20, 88) and pedal.shape == (3, 20)
    total = sum(p.numel() for p in HarmonicTranscriber().parameters())
    assert total == 345_098  # channels 48: 0.7 MB in float16


def test_output_starts_at_the_density_of_notes():
    keys, _ = network(HarmonicTranscriberConfig())(torch.full((1, 40, BINS), -7.0))
    onset, _, frame, _ = torch.sigmoid(keys).mean(dim=(0, 2, 3))
    assert 0.001 < onset < 0.02 and 0.01 < frame < 0.2


def test_all_keys_share_their_weights():
    """What a tone changes moves by one key when the tone moves by one semitone."""
    net = network()
    with torch.no_grad():
        quiet = torch.full((1, 20, BINS), -7.0)
        changes = []
        for pitch in (60, 61):
            tone = quiet.clone()
            tone[:, 8:12, int(bin_of_pitch(pitch)) : int(bin_of_pitch(pitch)) + BINS_PER_SEMITONE] = 0.0
            changes.append(net(tone)[0] - net(quiet)[0])
    assert changes[0].abs().max() > 1e-3
    np.testing.assert_allclose(changes[0][..., 36:44], changes[1][..., 37:45], atol=1e-5)


def test_each_key_hears_its_own_fundamental():
    net = network()
    spectrum = torch.full((1, 8, BINS), -7.0)
    for pitch in (21, 60, 108):
        one = spectrum.clone()
        one[..., int(bin_of_pitch(pitch))] = 0.0
        heard = net.enter(_gathered(net, one)) - net.enter(_gathered(net, spectrum))
        assert heard[0, 0, pitch - 21].abs().max() > 0


def _gathered(net, spectrum):
    captured = []
    hook = net.enter.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
    net(spectrum)
    hook.remove()
    return captured[0]


def test_reach_is_what_the_network_sees():
    """A change beyond `reach` frames is not felt; one within it is."""
    net, reach = network(), TINY.reach
    spectrum = torch.randn(1, 200, BINS)
    changed = spectrum.clone()
    changed[:, 100:102] += 1.0
    with torch.no_grad():
        difference = [
            (a - b).abs().reshape(-1, 200, *a.shape[3:]).amax(dim=0) for a, b in zip(net(spectrum), net(changed))
        ]
    felt = difference[0].amax(dim=1) + difference[1]
    where = torch.nonzero(felt > 1e-6).flatten()
    assert where.min() >= 100 - reach and where.max() <= 101 + reach
    assert where.max() - where.min() > reach


def test_trains_on_one_batch():
    net = network().train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    spectrum, goal = torch.randn(2, 16, BINS) - 7, (torch.rand(2, 4, 16, 88) > 0.9).float()
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(spectrum)[0], goal)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
