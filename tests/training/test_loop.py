import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from spartito.errors import ParameterError  # noqa: E402
from spartito.training.loop import Average, LoopConfig, fit, one_cycle  # noqa: E402

CONFIG = LoopConfig(steps=30, warmup=3, precision="32-true", device="cpu", report_every=10, validate_every=1000)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 1))


def batch_at(index):
    generator = torch.Generator().manual_seed(index)
    x = torch.randn(16, 4, generator=generator)
    return {"x": x, "y": x.sum(dim=1, keepdim=True)}


def loss(net, batch):
    return {"error": ((net(batch["x"]) - batch["y"]) ** 2).mean()}


def run(folder, *, config=CONFIG, steps=None, net=None, batches=batch_at):
    net = net or network()
    seen = []

    def counted(index):
        if steps is not None and len(seen) >= steps:
            raise KeyboardInterrupt
        seen.append(index)
        return batches(index)

    return fit(net, loss=loss, batch_at=counted, config=config, folder=folder), seen


def test_learns_and_logs(tmp_path):
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[-1]["error"] < lines[0]["error"]


def test_reports_are_means_over_the_batches_since_the_last(tmp_path):
    changed = {"steps": 7, "report_every": 5, "accumulate": 2}
    terms = iter(range(1, 15))
    fit(
        network(),
        loss=lambda net, batch: {"error": 0 * net(batch["x"]).sum() + next(terms)},
        batch_at=batch_at,
        config=LoopConfig(**{**vars(CONFIG), **changed}),
        folder=tmp_path,
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["error"]) for line in lines] == [(5, 5.5), (7, 12.5)]


def test_resuming_is_exact(tmp_path):
    whole, seen = run(tmp_path / "whole")
    assert seen == list(range(30))
    saving = LoopConfig(**{**vars(CONFIG), "checkpoint_minutes": 0.0})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", config=saving, steps=17)
    rest, seen = run(tmp_path / "parts", config=saving)
    assert seen[0] == 17
    for name, value in whole.items():
        assert torch.equal(value, rest[name]), name


def test_a_run_with_other_settings_is_not_continued(tmp_path):
    run(tmp_path)
    with pytest.raises(ParameterError, match="learning_rate"):
        run(tmp_path, config=LoopConfig(**{**vars(CONFIG), "learning_rate": 0.5}))


def test_accumulation_uses_as_many_batches(tmp_path):
    _, seen = run(tmp_path, config=LoopConfig(**{**vars(CONFIG), "accumulate": 3}))
    assert seen == list(range(90))


def test_clipping_takes_effect(tmp_path):
    """With plain gradient descent a step is never longer than rate x clip."""
    net = network()
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    config = LoopConfig(**{**vars(CONFIG), "steps": 1, "clip": 0.01, "learning_rate": 1.0, "warmup": 1})
    huge = lambda i: {k: 1000 * v for k, v in batch_at(i).items()}  # noqa: E731
    fit(
        net, loss=loss, batch_at=huge, config=config, folder=tmp_path,
        optimizer=lambda n, c: torch.optim.SGD(n.parameters(), lr=c.learning_rate),
    )  # fmt: skip
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert (after - before).norm() == pytest.approx(0.01, rel=1e-3)


def test_a_step_that_is_not_finite_is_left_out(tmp_path):
    poisoned = lambda i: batch_at(i) if i != 5 else {k: v * float("nan") for k, v in batch_at(i).items()}  # noqa: E731
    net = torch.nn.Linear(4, 1)
    fit(net, loss=loss, batch_at=poisoned, config=CONFIG, folder=tmp_path)
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_rate_rises_then_falls():
    rates = [one_cycle(step, CONFIG) for step in range(31)]
    assert rates.index(max(rates)) in (2, 3)
    assert rates[0] == pytest.approx(CONFIG.learning_rate / 3)
    assert rates[30] == pytest.approx(CONFIG.final_rate)


def test_average_follows_the_weights():
    net = torch.nn.Linear(1, 1, bias=False)
    average = Average(net, 0.5)
    with torch.no_grad():
        net.weight.fill_(10.0)
    start = float(average.state["weight"])
    average.update(net, step=100)
    assert float(average.state["weight"]) == pytest.approx((start + 10) / 2)


# -- several losses -------------------------------------------------------------------------------------------


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)

    def forward(self, name, x):
        return getattr(self, name)(x)


def pair_losses(seen):
    def of(name):
        def loss(net, batch):
            seen.append(name)
            value = ((net(name, batch["x"]) - batch["y"]) ** 2).mean()
            return {name: value, f"_{name}_doubled": 2 * value.detach()}

        return loss

    return [of("first"), of("second")]


def pair_optimisers(net, config):
    return [
        torch.optim.SGD([{"params": net.first.parameters(), "scale": 1.0}], lr=config.learning_rate),
        torch.optim.SGD([{"params": net.second.parameters(), "scale": 0.0}], lr=config.learning_rate),
    ]


def test_losses_take_turns_with_an_optimiser_each(tmp_path):
    torch.manual_seed(0)
    net, seen = Pair(), []
    before = {k: v.clone() for k, v in net.state_dict().items()}
    fit(net, loss=pair_losses(seen), batch_at=batch_at, config=CONFIG, folder=tmp_path, optimizer=pair_optimisers)
    assert seen == ["first", "second"] * CONFIG.steps
    after = net.state_dict()
    assert not torch.equal(after["first.weight"], before["first.weight"])
    assert torch.equal(after["second.weight"], before["second.weight"])  # learns at 0 times the rate
    entry = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert entry["first_doubled"] == pytest.approx(2 * entry["first"], abs=2e-5) and "gradient_1" in entry


def test_each_loss_needs_an_optimiser(tmp_path):
    with pytest.raises(ParameterError, match="2 losses need as many optimisers, not 1"):
        fit(Pair(), loss=pair_losses([]), batch_at=batch_at, config=CONFIG, folder=tmp_path)


def test_a_checkpoint_keeps_what_it_is_given(tmp_path):
    class Counter:
        value = 0

        def state_dict(self):
            return {"value": self.value}

        def load_state_dict(self, state):
            self.value = state["value"]

    counter, again = Counter(), Counter()
    counter.value = 7
    options = {"loss": pair_losses([]), "batch_at": batch_at, "config": CONFIG, "folder": tmp_path}
    first = fit(Pair(), **options, optimizer=pair_optimisers, keep={"counter": counter})
    second = fit(Pair(), **options, optimizer=pair_optimisers, keep={"counter": again})
    assert again.value == 7 and torch.equal(first["first.weight"], second["first.weight"])
