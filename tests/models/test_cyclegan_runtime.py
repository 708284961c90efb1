"""Generators without torch: the same numbers, both directions, clear errors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from spartito.errors import ModelError, ParameterError  # noqa: E402
from spartito.models.cyclegan import CycleGan, CycleGanConfig, DiscriminatorConfig, GeneratorConfig  # noqa: E402
from spartito.models.cyclegan_export import export_genre, export_pair  # noqa: E402
from spartito.models.cyclegan_runtime import open_generator, pair_folder, weights_of  # noqa: E402
from spartito.models.export import export_model  # noqa: E402
from spartito.models.hub import find_model  # noqa: E402


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder of tiny random generators, and the network with its weights as rounded to float16."""
    torch.manual_seed(0)
    sizes = {"generator": GeneratorConfig(width=4, blocks=1), "discriminator": DiscriminatorConfig(width=4)}
    network = CycleGan(CycleGanConfig(model="base", **sizes)).eval()
    folder = tmp_path_factory.mktemp("weights")
    export_genre(network, folder, {"name": "tiny", "pair": ["classic", "pop"]}, more={"published.w": torch.ones(2)})
    half = {k: v.half().float() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    network.load_state_dict(half)
    return folder, network


def phrases(count):
    return (np.random.default_rng(1).random((count, 2, 64, 84)) < 0.035).astype(np.float32)


def test_equals_torch_in_both_directions(exported):
    folder, network = exported
    generators = open_generator(("pop", "classic"), folder, threads=1)
    x = phrases(66)  # more than one call
    for source, target, part in (("classic", "pop", network.AtoB), ("pop", "classic", network.BtoA)):
        with torch.no_grad():
            expected = part(torch.from_numpy(x)).sigmoid().numpy()
        found = generators(x.astype(np.uint8), source, target)
        assert found.shape == x.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)
    there, back = (generators(x[:2], *pair) for pair in (("classic", "pop"), ("pop", "classic")))
    assert np.abs(there - back).max() > 1e-3


def test_the_graph_holds_no_weights(exported):
    folder, _ = exported
    assert (folder / "generator.onnx").stat().st_size < 30_000


def test_one_file_holds_everything_in_half_precision(exported):
    folder, _ = exported
    assert set(weights_of(folder, "published")) == {"w"}
    assert weights_of(folder, "AtoB").keys() == weights_of(folder, "BtoA").keys()
    with pytest.raises(ModelError, match="independent"):
        weights_of(folder, "independent")


def test_no_phrases(exported):
    assert open_generator(("classic", "pop"), exported[0])(phrases(0), "pop", "classic").shape == (0, 2, 64, 84)


def test_wrong_pairs(exported, tmp_path):
    folder, _ = exported
    with pytest.raises(ModelError, match="not for jazz and pop, but for classic and pop"):
        open_generator(("jazz", "pop"), folder)
    with pytest.raises(ParameterError, match="not from jazz to pop"):
        open_generator(("classic", "pop"), folder)(phrases(1), "jazz", "pop")
    with pytest.raises(ParameterError, match="a pair is two of"):
        pair_folder(("jazz", "metal"))
    with pytest.raises(ModelError, match=r"config\.json"):
        open_generator(("classic", "pop"), tmp_path)


def test_a_run_becomes_a_folder_with_its_judges(tmp_path):
    """What `spartito export` does with a run, and what a folder with both classifiers holds."""
    from spartito.models.genre_classifier import GenreClassifierConfig, make_classifier
    from spartito.training.runs import write_run

    torch.manual_seed(1)
    sizes = {"generator": GeneratorConfig(width=4, blocks=1), "discriminator": DiscriminatorConfig(width=4)}
    network = CycleGan(CycleGanConfig(model="base", **sizes)).eval()
    described = {"name": "run", "job": "restyling", "architecture": "cyclegan", "pair": ["jazz", "pop"]}
    write_run(tmp_path / "run", network.state_dict(), described | {"network": network.config.to_dict()})
    for role, kind in (("published", "published"), ("independent", "intervals")):
        classifier = GenreClassifierConfig(kind, 8)
        told = {"pair": ["jazz", "pop"], "network": classifier.to_dict(), "temperature": 1.0, "metrics": {}}
        write_run(tmp_path / role, make_classifier(classifier).state_dict(), told)
    judges = {role: tmp_path / role for role in ("published", "independent")}
    folder = export_pair(tmp_path / "run", tmp_path / "out", config={"name": "genre-jazz-pop"}, **judges)
    assert (folder / "classifier.onnx").exists() and (folder / "judge.onnx").exists()
    x = phrases(2)
    with torch.no_grad():
        expected = network.BtoA(torch.from_numpy(x)).sigmoid().numpy()
    np.testing.assert_allclose(open_generator(("jazz", "pop"), folder)(x, "pop", "jazz"), expected, atol=1e-2)
    plain = export_model(tmp_path / "run", tmp_path / "plain")
    assert not (plain / "judge.onnx").exists() and (plain / "generator.onnx").exists()
    info = find_model(folder)
    assert info.name == "genre-jazz-pop" and info.job == "restyling"
    assert info.size_bytes == sum(f.stat().st_size for f in folder.iterdir())


PAIRS = [("classic", "jazz"), ("classic", "pop"), ("jazz", "pop")]


def song():
    """(1, 2, 64, 84): a tune in quarters over broken chords in eighths, C, A minor, F, G."""
    x = np.zeros((1, 2, 64, 84), dtype=np.float32)
    for bar, root in enumerate((0, 9, 5, 7)):
        third = 3 if root == 9 else 4
        for i, key in enumerate((0, 7, 12, 7, 12 + third, 7, 12, 7)):
            x[0, 0, 16 * bar + 2 * i, 12 + root + key] = 1
            x[0, 1, 16 * bar + 2 * i : 16 * bar + 2 * i + 2, 12 + root + key] = 1
        for i, key in enumerate((12, 12 + third, 19, 12 + third)):
            x[0, 0, 16 * bar + 4 * i, 36 + root + key] = 1
            x[0, 1, 16 * bar + 4 * i : 16 * bar + 4 * i + 4, 36 + root + key] = 1
    return x


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_shipped_generators_change_a_song_and_keep_it(pair):
    from spartito.training.genre_training import open_run

    generators, x = open_generator(pair, threads=1), song()
    network, named = open_run(generators.folder)
    assert named == pair == generators.pair
    for source, target, part in ((*pair, network.AtoB), (*pair[::-1], network.BtoA)):
        found = generators(x, source, target)
        with torch.no_grad():
            np.testing.assert_allclose(found, part(torch.from_numpy(x)).sigmoid().numpy(), atol=1e-4)
        made = found > 0.5
        assert made[:, 0].any() and (made != (x > 0)).any()
        kept = (made & (x > 0))[:, 0].sum() / x[:, 0].sum()
        assert 0.4 < kept <= 1 and 0.5 < made[:, 0].sum() / x[:, 0].sum() < 2.5


def test_shipped_pairs_keep_within_their_budget():
    folders = [find_model(f"genre-{a}-{b}").folder for a, b in PAIRS]
    assert sum(f.stat().st_size for folder in folders for f in folder.iterdir()) < 4_500_000
    for folder in folders:
        assert {"generator.onnx", "classifier.onnx", "judge.onnx", "README.md"} <= {f.name for f in folder.iterdir()}
