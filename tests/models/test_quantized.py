import pytest

torch = pytest.importorskip("torch")

from spartito.models.quantized import SCALE, matrices, quantized, restored  # noqa: E402


def test_by_hand():
    weights = {"w": torch.tensor([[127.0, -63.6, 0.4], [0.0, 0.0, 0.0]]), "b": torch.tensor([0.5, -2.0])}
    assert matrices(weights) == ["w"]
    stored = quantized(weights, ["w"])
    assert set(stored) == {"w", "w" + SCALE, "b"}
    assert stored["w"].dtype == torch.int8 and stored["w" + SCALE].dtype == stored["b"].dtype == torch.float16
    assert stored["w" + SCALE][0].item() == pytest.approx(1.0, rel=1e-3)
    assert stored["w"].tolist() == [[127, -64, 0], [0, 0, 0]]
    back = restored(stored)
    assert set(back) == {"w", "b"} and back["w"].dtype == torch.float32
    torch.testing.assert_close(back["w"], torch.tensor([[127.0, -64.0, 0.0], [0.0, 0.0, 0.0]]), rtol=1e-3, atol=0)
    assert back["b"].tolist() == [0.5, -2.0]


@pytest.mark.parametrize("size", [1e-7, 1e-4, 1.0, 300.0])
def test_no_weight_is_wrong_by_more_than_half_a_scale_of_its_row(size):
    generator = torch.Generator().manual_seed(0)
    rows = size * torch.rand(64, 1, generator=generator) * torch.randn(64, 33, generator=generator)
    stored = quantized({"w": rows}, ["w"])
    scale = stored["w" + SCALE].float()
    wrong = (restored(stored)["w"] - rows).abs().amax(dim=1)
    assert (wrong <= 0.5001 * scale).all()
    assert (scale <= rows.abs().amax(dim=1) / 127 * 1.002 + 2.0**-24).all()  # 2^-24: the least float16 there is


def test_what_is_quantized_twice_stays_as_it_is():
    rows = torch.randn(40, 25, generator=torch.Generator().manual_seed(1))
    once = quantized({"w": rows}, ["w"])
    twice = quantized(restored(once), ["w"])
    assert torch.equal(once["w"], twice["w"]) and torch.equal(once["w" + SCALE], twice["w" + SCALE])


def test_only_what_is_named_is_quantized():
    weights = {"a": torch.randn(3, 4), "b": torch.randn(3, 4), "n": torch.arange(3)}
    stored = quantized(weights, ["b"])
    assert [stored[name].dtype for name in ("a", "b")] == [torch.float16, torch.int8]
    assert torch.equal(restored(stored)["a"], weights["a"].half())
    assert restored({"n": weights["n"]})["n"] is weights["n"]  # nothing to put back


def test_convolutions_have_a_scale_per_row_too():
    weights = {"c": torch.tensor([[[127.0, 3.0], [-2.0, 1.0]], [[0.0, 0.5], [-1.27, 0.01]]])}
    assert matrices(weights) == ["c"]
    stored = quantized(weights, ["c"])
    assert stored["c"].tolist() == [[[127, 3], [-2, 1]], [[0, 50], [-127, 1]]]
    assert stored["c" + SCALE].shape == (2,)
    torch.testing.assert_close(restored(stored)["c"], weights["c"], rtol=1e-3, atol=1e-4)
