import json

import pytest

from spartito.errors import ParameterError
from spartito.training.data.folder import list_folder
from spartito.training.data.maestro import list_maestro
from spartito.training.data.maps import list_maps
from spartito.training.data.recordings import share_of
from spartito.training.data.splits import list_midi, split_of, tenth_of


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


PIECES = [f"piece{i}" for i in range(40)]


@pytest.fixture
def flac_layout(tmp_path):
    for piece in [*PIECES, "tested", "label_only"]:
        stem = f"MAPS_MUS-{piece}_AkPnBcht"
        touch(tmp_path / "flac" / f"{stem}.flac", tmp_path / "tsv" / "matched" / f"{stem}.tsv")
    for piece in ("tested", "label_only"):
        stem = f"MAPS_MUS-{piece}_ENSTDkCl"
        touch(tmp_path / "tsv" / "matched" / f"{stem}.tsv")
        if piece == "tested":
            touch(tmp_path / "flac" / f"{stem}.flac")
    touch(tmp_path / "flac" / "MAPS_MUS-unlabelled_AkPnBcht.flac")
    return tmp_path


def test_maps_strict_leaves_out_what_the_test_pianos_play(flac_layout):
    recordings = list_maps(flac_layout)
    compositions = {r.composition: r.split for r in recordings}
    assert [r.composition for r in recordings if r.split == "test"] == ["tested"]
    assert set(compositions) == {*PIECES, "tested"}  # nor a piece whose test audio alone is missing
    share = sum(split == "validation" for split in compositions.values()) / len(PIECES)
    assert 0.03 < share < 0.35
    assert not any(r.pedal_known for r in recordings)


def test_maps_all_keeps_them(flac_layout):
    recordings = list_maps(flac_layout, protocol="all")
    trained = {r.composition for r in recordings if r.split != "test"}
    assert {"tested", "label_only"} <= trained
    with pytest.raises(ParameterError, match="strict"):
        list_maps(flac_layout, protocol="loose")


def test_maps_original_layout(tmp_path):
    for piano in ("AkPnBcht", "ENSTDkAm"):
        folder = tmp_path / piano / "MUS"
        touch(folder / f"MAPS_MUS-{piano}piece_{piano}.wav", folder / f"MAPS_MUS-{piano}piece_{piano}.mid")
    recordings = list_maps(tmp_path)
    assert {r.split for r in recordings} <= {"train", "validation", "test"} and len(recordings) == 2
    assert all(r.pedal_known for r in recordings)
    with pytest.raises(ParameterError, match="no MAPS"):
        list_maps(tmp_path / "AkPnBcht" / "nothing")


ROWS = [
    {
        "canonical_composer": "J. S. Bach",
        "canonical_title": "Prelude",
        "split": split,
        "year": "2004",
        "midi_filename": f"2004/{split}.midi",
        "audio_filename": f"2004/{split}.wav",
        "duration": "60",
    }
    for split in ("train", "validation", "test")
]


@pytest.mark.parametrize("index", ["csv", "json rows", "json columns"])
def test_maestro_in_all_its_indices(tmp_path, index):
    for row in ROWS[:2]:
        touch(tmp_path / row["midi_filename"], tmp_path / row["audio_filename"])
    if index == "csv":
        lines = [",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)]
        (tmp_path / "maestro-v2.0.0.csv").write_text("\n".join(lines))
    elif index == "json rows":
        (tmp_path / "maestro-v1.0.0.json").write_text(json.dumps(ROWS))
    else:
        table = {key: {str(i): row[key] for i, row in enumerate(ROWS)} for key in ROWS[0]}
        (tmp_path / "maestro-v3.0.0.json").write_text(json.dumps(table))
    recordings = list_maestro(tmp_path)
    assert [(r.name, r.split) for r in recordings] == [("2004-train", "train"), ("2004-validation", "validation")]
    assert recordings[0].composition == "J. S. Bach: Prelude" and recordings[0].pedal_known


def test_maestro_that_is_none(tmp_path):
    with pytest.raises(ParameterError, match="maestro-vX"):
        list_maestro(tmp_path)


def test_a_folder_of_ones_own(tmp_path):
    touch(tmp_path / "a.wav", tmp_path / "a.mid", tmp_path / "test" / "b.flac", tmp_path / "test" / "b.tsv")
    touch(tmp_path / "lonely.ogg")
    found = {r.name: r for r in list_folder(tmp_path)}
    assert set(found) == {"a", "test-b"}
    assert found["test-b"].split == "test" and not found["test-b"].pedal_known
    assert found["a"].split in ("train", "validation")
    with pytest.raises(ParameterError):
        list_folder(tmp_path / "nowhere")


def test_splits_depend_on_names_alone(tmp_path):
    pop = tmp_path / "POP909" / "POP909"
    for number in ("007", "018", "123"):
        touch(pop / number / f"{number}.mid")
    assert split_of(pop / "007" / "007.mid", tmp_path) == "test"
    assert split_of(pop / "018" / "018.mid", tmp_path) == "validation"
    assert [p.name for p in list_midi(tmp_path / "POP909")] == ["123.mid"]
    work = tmp_path / "asap" / "Bach" / "Fugue"
    touch(work / "midi_score.mid", work / "anna.mid", work / "ben.mid")
    rows = ["composer,title,midi_performance", *(f"Bach,Fugue,Bach/Fugue/{name}.mid" for name in ("anna", "ben"))]
    (tmp_path / "asap" / "metadata.csv").write_text("\n".join(rows))
    expected = {7: "test", 8: "validation"}.get(tenth_of("Bach/Fugue"), "train")
    assert split_of(work / "anna.mid", tmp_path / "asap") == split_of(work / "ben.mid", tmp_path / "asap") == expected
    tenths = [tenth_of(f"name {i}") for i in range(1000)]
    assert all(70 < tenths.count(i) < 130 for i in range(10))
    assert 0.05 < sum(share_of(f"name {i}") < 0.1 for i in range(400)) / 400 < 0.16
