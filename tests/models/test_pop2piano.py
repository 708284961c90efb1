"""Pop2Piano's weights opened: settings put right, composers, both generators, many songs at once, what can be wrong."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="Pop2Piano needs torch (extra pop2piano)")
pytest.importorskip("transformers", reason="Pop2Piano needs transformers (extra pop2piano)")

import tiny_pop2piano as tiny  # noqa: E402
from spartito.errors import ModelError, ParameterError  # noqa: E402
from spartito.models import hub, pop2piano  # noqa: E402
from spartito.models.pop2piano import TransformersGenerator, composer_rows, open_pop2piano  # noqa: E402
from spartito.models.pop2piano_tokens import END, SIZE  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(pop2piano, "MAX_LENGTH", tiny.LENGTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("hub") / "pop2piano")


def spectra(*shapes, seed: int = 0):
    """Songs of so many (segments, frames), each with composers of its own."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(-7, 3, (count, frames, 512)).astype(np.float32), rng.integers(0, 21, count))
        for count, frames in shapes
    ]


def change(folder, copy, *, drop=(), **settings):
    """A copy of a model's folder with other settings in its config.json."""
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    config = json.loads((copy / "config.json").read_text()) | settings
    (copy / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in drop}))
    return copy


# -- tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generator", ["fast", "transformers"])
def test_many_songs_at_once_are_as_one_by_one(folder, generator):
    model = open_pop2piano(folder, generator=generator, device="cpu")
    songs = spectra((3, 40), (2, 47), (1, 33), (2, 40))
    together = model.generate(songs, batch_size=5)
    for song, tokens in zip(songs, together, strict=True):
        alone = model.generate([song])[0]
        assert np.array_equal(tokens, alone)
    assert any((row == END).any() for row in np.concatenate([t.ravel() for t in together])[None])
    assert len(np.unique(together[0])) > 10  # not one word over and over


def test_both_generators_write_the_same(folder):
    songs = spectra((4, 40), (3, 47))
    fast, theirs = (
        open_pop2piano(folder, generator=name, device="cpu").generate(songs) for name in ("fast", "transformers")
    )
    for ours, reference in zip(fast, theirs, strict=True):
        assert np.array_equal(ours, reference)


def test_tokens_of_the_port(folder):
    """Its own `generate` with a composer's name, against ours: in both activations."""
    ((features, _),) = spectra((3, 40))
    for compat, activation in ((True, "relu"), (False, "gelu_new")):
        network = tiny.with_composers(tiny.network(activation=activation))
        expected = network.generate(torch.from_numpy(features), composer="composer7").numpy()[:, 1:]
        for name in ("fast", "transformers"):
            model = open_pop2piano(folder, generator=name, compat=compat, device="cpu")
            found = model.generate([(features, model.rows(["composer7"] * 3))])[0]
            assert np.array_equal(found, expected[:, : found.shape[1]])
            assert (expected[:, found.shape[1] :] == 0).all()


def test_the_activation_matters_and_can_be_chosen(folder):
    songs = spectra((4, 40))
    default = open_pop2piano(folder, device="cpu").generate(songs)[0]
    port = open_pop2piano(folder, compat=True, device="cpu").generate(songs)[0]
    chosen = open_pop2piano(folder, compat=True, activation="gelu_new", device="cpu").generate(songs)[0]
    assert not np.array_equal(default, port)
    assert np.array_equal(default, chosen)


def test_composers_matter(folder):
    ((features, _),) = spectra((4, 40))
    model = open_pop2piano(folder, device="cpu")
    one, other = (model.generate([(features, model.rows([name] * 4))])[0] for name in ("composer1", "composer21"))
    mixed = model.generate([(features, model.rows(["composer1", "composer21"] * 2))])[0]
    assert not np.array_equal(one, other)
    for row, expected in enumerate([one, other, one, other]):
        length = min(mixed.shape[1], expected.shape[1])
        assert np.array_equal(mixed[row, :length], expected[row, :length])


@pytest.mark.parametrize("generator", ["fast", "transformers"])
def test_words_without_meaning_are_written_only_as_the_port_does(tmp_path, generator):
    network = tiny.network()
    with torch.no_grad():
        network.lm_head.weight[SIZE:] = 3 * network.lm_head.weight[4:10]
    tiny.with_composers(network).save_pretrained(tmp_path)
    songs = spectra((4, 40))
    free = open_pop2piano(tmp_path, generator=generator, compat=True, device="cpu").generate(songs)[0]
    bound = open_pop2piano(tmp_path, generator=generator, device="cpu").generate(songs)[0]
    assert free.max() >= SIZE > bound.max()
    assert not np.isin(bound, (2, 3)).any()


def test_rows_without_an_end(folder, tmp_path):
    network = tiny.network()
    with torch.no_grad():
        network.lm_head.weight[END] = 0
    tiny.with_composers(network).save_pretrained(tmp_path)
    tokens = open_pop2piano(tmp_path, device="cpu").generate(spectra((2, 30)))[0]
    assert tokens.shape == (2, tiny.LENGTH - 1) and not (tokens == END).any() and (tokens > 0).all()


def test_settings_of_a_call_do_not_stay(folder):
    generator = open_pop2piano(folder, generator="transformers", device="cpu").generator
    before = generator.network.generation_config.to_dict()
    ((features, rows),) = spectra((2, 30))
    assert generator.generate(features, None, rows, max_length=9).shape == (2, 8)
    assert generator.network.generation_config.to_dict() == before
    assert generator.generate(features, None, rows, max_length=20).shape[1] > 8


def test_progress_and_nothing_to_do(folder):
    model, seen = open_pop2piano(folder, device="cpu"), []
    model.generate(spectra((3, 30), (3, 35)), batch_size=2, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0) and len(seen) >= 3
    assert model.generate([]) == []


# -- what a file says ---------------------------------------------------------------------------------------


def test_composers_as_the_file_names_them(folder, tmp_path):
    assert list(composer_rows(folder, count=21)) == list(tiny.COMPOSERS)
    (tmp_path / "generation_config.json").write_text(json.dumps({"composer_to_feature_token": {"b": 101, "a": 100}}))
    assert list(composer_rows(tmp_path, count=2).items()) == [("a", 0), ("b", 1)]
    with pytest.raises(ModelError, match="names 2 composers, the network has 1"):
        composer_rows(tmp_path, count=1)


def test_composers_lost_by_saving(tmp_path):
    """The port forgets the names when a map set on a fresh model is saved: its reload fails, ours does not."""
    from transformers import Pop2PianoForConditionalGeneration

    network = tiny.network()
    network.generation_config.composer_to_feature_token = tiny.COMPOSERS
    network.save_pretrained(tmp_path)
    ((features, _),) = spectra((1, 20))
    reloaded = Pop2PianoForConditionalGeneration.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="composer_to_feature_token"):
        reloaded.generate(torch.from_numpy(features), composer="composer2")
    model = open_pop2piano(tmp_path, device="cpu")
    assert list(model.composers) == list(tiny.COMPOSERS) and model.rows(["composer2"]).tolist() == [1]
    (tmp_path / "generation_config.json").unlink()
    assert list(open_pop2piano(tmp_path, device="cpu").composers) == list(tiny.COMPOSERS)


def test_scale_of_the_decoder_outputs(folder, tmp_path):
    """A file of transformers 4 says it by `tie_word_embeddings` alone; argmax does not see it, logits do."""
    old = change(folder, tmp_path / "old", drop=["scale_decoder_outputs"], tie_word_embeddings=False)
    new = change(folder, tmp_path / "new", scale_decoder_outputs=False, tie_word_embeddings=True)
    scaled = change(folder, tmp_path / "scaled", drop=["scale_decoder_outputs"], tie_word_embeddings=True)
    found = [
        open_pop2piano(path, generator="transformers", device="cpu").generator.network.config.scale_decoder_outputs
        for path in (old, new, scaled)
    ]
    assert found == [False, False, True]


def test_a_checkpoint_in_torchs_own_format(folder, tmp_path):
    copy = change(folder, tmp_path / "bin")
    from safetensors.torch import load_file

    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    songs = spectra((2, 30))
    assert np.array_equal(
        open_pop2piano(copy, device="cpu").generate(songs)[0], open_pop2piano(folder, device="cpu").generate(songs)[0]
    )


def test_what_can_be_wrong_with_a_folder(folder, tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        open_pop2piano(tmp_path / "nothing")
    bare = change(folder, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded as Pop2Piano"):
        open_pop2piano(bare)
    damaged = change(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="cannot be loaded as Pop2Piano"):
        open_pop2piano(damaged)
    with pytest.raises(ModelError):
        open_pop2piano(change(folder, tmp_path / "deeper", num_layers=3, num_decoder_layers=3))
    with pytest.raises(ModelError):
        open_pop2piano(change(folder, tmp_path / "wider", d_ff=32))


def test_options_that_do_not_exist(folder):
    model = open_pop2piano(folder, device="cpu")
    with pytest.raises(ParameterError, match="has no composer22: there are composer1, composer2"):
        model.rows(["composer1", "composer22"])
    for options, words in (
        ({"generator": "slow"}, "fast, transformers"),
        ({"precision": "fp8"}, "fp32, bf16, int8"),
        ({"activation": "silu"}, "gelu_new, relu"),
        ({"generator": "transformers", "precision": "bf16"}, "computes in fp32"),
    ):
        with pytest.raises(ParameterError, match=words):
            open_pop2piano(folder, **options)


def test_generators_take_the_same_arguments(folder):
    fast = open_pop2piano(folder, device="cpu").generator
    theirs = TransformersGenerator(tiny.network(activation="gelu_new"))
    ((features, rows),) = spectra((3, 30))
    mask = np.arange(30) < np.array([[30], [20], [12]])
    features = np.where(mask[:, :, None], features, 0.0).astype(np.float32)
    found, expected = (g.generate(features, mask, rows, max_length=40) for g in (fast, theirs))
    assert np.array_equal(found, expected) and found.shape[1] <= 39


# -- the hub ------------------------------------------------------------------------------------------------


def test_the_hub_knows_the_folder(folder):
    info = hub.find_model(folder)
    assert (info.name, info.job, info.config["architecture"]) == ("pop2piano", "arrangement", "pop2piano")
    assert info.size_bytes > 1e6 and "not stated" in info.licence
    assert [model.name for model in hub.fetchable_models()] == ["pop2piano"]
    opened = hub.load_model(folder, device="cpu")
    assert opened.styles == tuple(tiny.COMPOSERS)


def test_offline_in_clear_words(monkeypatch, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="fetching needs the extra hub")

    def offline(name, **options):
        raise OSError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"sweetcocoa/pop2piano could not be fetched.*no connection\).*--local-dir"):
        hub.find_model("pop2piano")


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_fetched_is_compared_and_kept(monkeypatch, folder, tmp_path, whole):
    """The store of the hub: files lie under their SHA-256, a folder of links points at them."""
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="fetching needs the extra hub")
    calls, store = [], tmp_path / "store"
    store.mkdir()

    def fetched(name, *, allow_patterns, local_files_only=False):
        calls.append(local_files_only)
        for file in folder.iterdir() if not local_files_only else ():
            content = file.read_bytes()
            blob = tmp_path / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content if whole else content[:1000])
            (store / file.name).symlink_to(blob)
        return str(store)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    if not whole:
        with pytest.raises(ModelError, match=r"model.safetensors arrived damaged and was removed"):
            hub.find_model("pop2piano")
        assert not (store / "model.safetensors").exists()
        return
    assert hub.find_model("sweetcocoa/pop2piano").folder == store and calls == [True, False]
    assert hub.find_model("pop2piano").folder == store and calls == [True, False, True]
