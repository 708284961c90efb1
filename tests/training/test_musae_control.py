"""The control term: attributes and chroma from one-hot states as from states, who learns, and whether it helps."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from torch.nn import functional as F  # noqa: E402

from spartito.errors import ParameterError  # noqa: E402
from spartito.models.musae_paths import towards  # noqa: E402
from spartito.models.musae_prior import Flower, Gaussian  # noqa: E402
from spartito.notes.band_attributes import NormalScale, attributes, chroma_similarity  # noqa: E402
from spartito.notes.four_tracks import HOLD, SILENT  # noqa: E402
from spartito.notes.layouts import BAND, PIANO  # noqa: E402
from spartito.training import musae_control as job  # noqa: E402
from spartito.training.musae_control import Control, ControlConfig  # noqa: E402
from spartito.training.musae_variants import variants  # noqa: E402


def some_states(layout, count=12, seed=0):
    random = np.random.default_rng(seed)
    shape = (count, 32, len(layout))
    draw, pitch = random.random(shape), random.integers(30, 90, shape)
    states = np.where(draw < 0.3, pitch, np.where(draw < 0.4, SILENT, HOLD)).astype(np.uint8)
    states[0], states[0, 0] = HOLD, SILENT  # an empty window
    return states


def one_hot(states):
    return F.one_hot(torch.from_numpy(states.astype(np.int64)), 130).float()


@pytest.mark.parametrize("layout", [BAND, PIANO], ids=lambda layout: layout.name)
def test_soft_measures_of_hard_states_are_the_measures(layout):
    states, others = some_states(layout), some_states(layout, seed=1)
    found = job.soft_attributes(one_hot(states), layout).numpy()
    np.testing.assert_allclose(found, attributes(states, layout=layout), rtol=1e-5, atol=1e-5)
    truth = np.nan_to_num(chroma_similarity(others, states, layout=layout))
    loss = job.chroma_loss(one_hot(states), torch.from_numpy(others.astype(np.int64)), layout)
    assert float(loss) == pytest.approx(np.maximum(job.FLOOR - truth, 0).mean(), abs=1e-4)
    assert float(job.chroma_loss(one_hot(states[1:]), torch.from_numpy(states[1:].astype(np.int64)), layout)) == 0


def test_the_choice_is_hard_and_its_gradient_soft():
    logits = torch.tensor([[0.0, 2.0, 1.0]], requires_grad=True)
    y = job.chosen(logits)
    torch.testing.assert_close(y.detach(), torch.tensor([[0.0, 1.0, 0.0]]))
    (y * torch.tensor([0.0, 0.0, 1.0])).sum().backward()
    p = torch.softmax(logits.detach(), dim=1)[0]
    torch.testing.assert_close(logits.grad[0], torch.stack([-p[0] * p[2], -p[1] * p[2], p[2] * (1 - p[2])]))
    torch.manual_seed(0)
    drawn = torch.stack([job.chosen(logits.detach(), noise=1.0) for _ in range(3000)]).mean(dim=0)[0]
    torch.testing.assert_close(drawn, p, atol=0.03, rtol=0)


def a_control(layout=BAND, prior=None, judge=None, **config):
    scale = NormalScale.of(attributes(some_states(layout, 400, seed=2), layout=layout))
    prior = prior or Flower(12, 4)
    return Control(ControlConfig(**config), prior=prior, scale=scale, layout=layout, attributes=6, judge=judge), scale


def test_values_and_spreads_of_a_scale():
    control, scale = a_control(attributes=1.0)
    numbers = np.random.default_rng(0).normal(size=(20, 6)) * 1.5
    found = control._values(torch.from_numpy(numbers).float()).numpy()
    np.testing.assert_allclose(found, scale.from_normal(numbers), rtol=1e-4, atol=1e-4)
    ends = scale.from_normal(np.array([[-1.0] * 6, [1.0] * 6]))
    np.testing.assert_allclose(control.spread.numpy(), (ends[1] - ends[0]) / 2, rtol=1e-4)


def test_moves_are_those_of_the_user():
    control, _ = a_control(attributes=1.0)
    torch.manual_seed(0)
    component = torch.tensor([0, 1, 2, 3, 4] * 40)
    goal = control.other(component)
    assert (goal[component < 4] != component[component < 4]).all() and set(goal.tolist()) == {0, 1, 2, 3}
    z = torch.randn(200, 12)
    turned = control.turned(z, goal).numpy()
    wanted = np.concatenate([towards(z[i : i + 1].numpy(), control.prior, int(goal[i])) for i in range(200)])
    np.testing.assert_allclose(turned, wanted, atol=1e-5)
    z = z * control.prior.others**0.5
    values = torch.randn(200, 6)
    moved, aims = control.slid(z, values)
    changed = (moved != z)[:, 2:8]
    assert torch.equal(moved[:, :2], z[:, :2]) and torch.equal(moved[:, 8:], z[:, 8:])
    assert set(changed.sum(dim=1).tolist()) == {1, 2}
    torch.testing.assert_close(aims[changed], moved[:, 2:8][changed] / control.prior.others**0.5)
    torch.testing.assert_close(aims[~changed], values[~changed])


def test_what_cannot_be_controlled():
    with pytest.raises(ParameterError, match=r"control\.judge"):
        a_control(genre=1.0)
    with pytest.raises(ParameterError, match="flower"):
        a_control(genre=1.0, prior=Gaussian(12), judge=torch.nn.Identity())
    assert not ControlConfig().on and ControlConfig(content=1.0).on


class Weighing(torch.nn.Module):
    """Judges windows by their number of notes alone."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor([0.0, 0.3, 0.6, 0.9]))

    def forward(self, y):
        return y[..., :SILENT].sum(dim=(1, 2, 3))[:, None] * self.slope - 10 * self.slope


def a_batch(count=16):
    states = torch.from_numpy(some_states(BAND, count, seed=3).astype(np.int64))
    component = torch.arange(count) % 5
    return {"states": states, "component": component, "attributes": torch.randn(count, 6)}


def test_terms_and_who_learns():
    control, _ = a_control(attributes=1.0, genre=0.5, content=0.1, start=0.5, judge=Weighing())
    decoder = torch.nn.Sequential(torch.nn.Linear(12, 32 * 4 * 130), torch.nn.Unflatten(1, (32, 4, 130)))
    z = (0.03 * torch.randn(16, 12)).requires_grad_(True)
    assert control.terms((None, decoder), z, a_batch(), share=0.4) == {}
    terms = control.terms((None, decoder), z, a_batch(), share=0.5)
    assert set(terms) == {"control_genre", "control_attributes", "control_content"}
    sum(terms.values()).backward()
    assert z.grad is None and decoder[0].weight.grad.norm() > 0 and control.judge.slope.grad is None
    only, _ = a_control(attributes=1.0)
    assert set(only.terms((None, decoder), z, a_batch())) == {"control_attributes"}
    only, _ = a_control(genre=1.0, judge=Weighing())
    assert set(only.terms((None, decoder), z, a_batch())) == {"control_genre"}


def test_examples_teach_encoder_and_decoder():
    control, scale = a_control(examples=2.0, part=0.5)
    decoder = torch.nn.Sequential(torch.nn.Linear(12, 32 * 4 * 130), torch.nn.Unflatten(1, (32, 4, 130)))
    z = (0.03 * torch.randn(16, 12)).requires_grad_(True)
    heard, read = [], []
    back = (0.03 * torch.randn(4, 12)).requires_grad_(True)

    def encode(states):
        read.append(states)
        return back

    def decode(moved):
        heard.append(moved.detach())
        return decoder(moved)

    batch = a_batch()
    torch.manual_seed(0)
    terms = control.terms((encode, decode), z, batch)
    assert set(terms) == {"control_examples"} and heard[0].shape == (8, 12)
    terms["control_examples"].backward()
    assert z.grad[:4, 8:].abs().sum() > 0 and back.grad[:, 8:].abs().sum() > 0
    assert z.grad[:, 2:8].abs().sum() == 0 and z.grad[4:].abs().sum() == 0  # sliders are those of what shall come
    assert decoder[0].weight.grad.norm() > 0
    torch.manual_seed(0)
    random = np.random.default_rng(int(torch.randint(1 << 31, ())))
    states = batch["states"][:8].numpy()
    made = variants(states, random, layout=BAND)
    np.testing.assert_array_equal(read[0].numpy(), made[4:])
    source = np.concatenate([states[:4], made[4:]])
    made[4:] = states[4:]
    before, after = (scale.to_normal(attributes(x.astype(np.uint8))) for x in (source, made))
    numbers = heard[0][:, 2:8].numpy() / control.prior.others**0.5
    np.testing.assert_allclose(numbers[::2], after[::2], atol=1e-4)
    most = np.abs(after - before).argmax(axis=1)
    for i in range(1, 8, 2):
        expected = before[i].copy()
        expected[most[i]] = after[i, most[i]]
        np.testing.assert_allclose(numbers[i], expected, atol=1e-4)
    np.testing.assert_allclose(heard[0][:4, 8:], z.detach()[:4, 8:])
    np.testing.assert_allclose(heard[0][4:, 8:], back.detach()[:, 8:])
    logits = decoder(heard[0])
    cost = F.cross_entropy(logits.flatten(0, 2), torch.from_numpy(made.astype(np.int64)).flatten())
    assert float(terms["control_examples"]) == pytest.approx(2 * 4 * float(cost), rel=1e-4)


def test_a_decoder_learns_to_obey():
    torch.manual_seed(1)
    scale = NormalScale(np.tile(np.linspace(4.0, 44.0, 101)[:, None], 6))  # 10, 24 and 38 notes at -1, 0 and 1
    config = ControlConfig(attributes=1.0, part=1.0)
    control = Control(config, prior=Gaussian(3), scale=scale, layout=BAND, attributes=1)
    linear = torch.nn.Linear(3, 16 * 4 * 130)
    torch.nn.init.normal_(linear.bias)
    decoder = torch.nn.Sequential(linear, torch.nn.Unflatten(1, (16, 4, 130)))
    optimiser = torch.optim.Adam(decoder.parameters(), lr=0.03)
    for _ in range(60):
        z = torch.randn(16, 3)
        batch = {"states": torch.zeros(16, 16, 4, dtype=torch.int64), "attributes": z[:, 2:]}
        optimiser.zero_grad()
        control.terms((None, decoder), z, batch)["control_attributes"].backward()
        optimiser.step()
    z = torch.tensor([[0.0, 0, -1.0], [0, 0, 0], [0, 0, 1.0]])
    with torch.no_grad():
        density = attributes(decoder(z).argmax(dim=-1).numpy().astype(np.uint8))[:, 0]
    assert density == pytest.approx([10, 24, 38], abs=10) and (np.diff(density) > 7).all()  # 64 to begin with
