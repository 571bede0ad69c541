"""A model that is not this runtime's is refused with one clear error, never run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime
import pytest

from edge.encoder import DEFAULT_MODEL, GRAPHS, METADATA_KEY, SHIPPED, Model
from edge.errors import EarmarkError
from edge.frame_stream import FrameStream

onnx = pytest.importorskip("onnx", reason="needs the onnx package, of the extra [train]")
write_spec = pytest.importorskip("export.metadata").write_spec
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in GRAPHS:
        shutil.copy(DEFAULT_MODEL / name, tmp_path)
    return tmp_path


def alter(path: Path, change: Callable[[str], str | None]) -> None:
    """Rewrite the metadata of a graph."""
    graph = onnx.load(path)
    (entry,) = (entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    text = change(entry.value)
    if text is None:
        graph.metadata_props.remove(entry)
    else:
        entry.value = text
    onnx.save(graph, path)


def alter_spec(folder: Path, change: Change, names: tuple[str, ...] = GRAPHS) -> None:
    def rewrite(text: str) -> str:
        spec = json.loads(text)
        change(spec)
        return json.dumps(spec)

    for name in names:
        alter(folder / name, rewrite)


def test_an_unchanged_copy_is_the_same_model(folder: Path) -> None:
    assert Model(folder).id == Model.load().id
    alter_spec(folder, lambda spec: None)
    assert Model(folder).spec == Model.load().spec


@pytest.mark.parametrize("name", [path.name for path in SHIPPED.iterdir()])
def test_a_model_that_ships_is_known_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Model.load(Path(name)).spec.name == name
    with pytest.raises(EarmarkError, match="no model at"):
        Model.load(Path("elsewhere") / name)


@pytest.mark.parametrize("name", ["", ".", "..", "huge"])
def test_any_other_word_is_a_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EarmarkError, match="no model at"):
        Model.load(Path(name))


def test_profiles_outlive_odds_that_are_fitted_anew_and_no_other_graphs(folder: Path) -> None:
    before = Model(folder)
    spec = before.spec
    across = replace(spec.across, usual=0.1)
    write_spec(folder, msgspec.structs.replace(spec, across=across))
    refitted = Model(folder)
    assert refitted.id == before.id == Model.load().id
    assert refitted.odds_id != before.odds_id
    graph = onnx.load(folder / "head.onnx")
    graph.graph.name = "another"
    onnx.save(graph, folder / "head.onnx")
    write_spec(folder, spec)
    assert Model(folder).id != before.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(front_end_hash="0123456789abcdef"), "0123456789abcdef"),
        (lambda s: s["fbank"].update(num_mels=40), "front end"),
        (lambda s: s["fbank"].update(preemphasis=0.0), "front end"),
        (lambda s: s["fbank"].update(window="hamming"), "front end"),
        (lambda s: s["fbank"].update(window="round"), "fbank options"),
        (lambda s: s["fbank"].update(num_mels="many"), "fbank options"),
        (lambda s: s["fbank"].update(num_mels=-1), "fbank options"),
        (lambda s: s["fbank"].update(dither=1.0), "fbank options"),
        (lambda s: s.update(sample_rate=8000), "8000 Hz"),
        (lambda s: s["fbank"].update(sample_rate=8000), "Hz"),
        (lambda s: s.update(calibration_within=[1.0, 2.0]), "metadata"),
        (lambda s: s.update(frames_per_second=0), "metadata"),
        (lambda s: s.update(frames_per_chunk=0), "metadata"),
        (lambda s: s.update(frames_per_record=-10), "metadata"),
        (lambda s: s.update(look_ahead=-1), "metadata"),
        (lambda s: s.update(fingerprint="../../etc/passwd"), "metadata"),
        (lambda s: s.pop("fingerprint"), "fingerprint"),
        (lambda s: s.update(new_in_version_7=True), "new_in_version_7"),
        (lambda s: s.pop("look_ahead"), "look_ahead"),
        (lambda s: s.pop("afterthought"), "afterthought"),
        (lambda s: s.update(afterthought=0), "metadata"),
        (lambda s: s.update(afterthought=1 << 40), "metadata"),
        (lambda s: s.update(frames_per_chunk=25), "graphs"),
        (lambda s: s.update(frames_per_record=20), "graphs"),
        (lambda s: s.update(embedding=7), "graphs"),
    ],
)
def test_metadata_that_do_not_fit(folder: Path, change: Change, said: str) -> None:
    alter_spec(folder, change)
    with pytest.raises(EarmarkError, match=said) as refusal:
        Model(folder)
    assert refusal.value.remedy
    assert str(folder) in str(refusal.value)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("text", [None, "", "not json", "[]", "{}"])
def test_no_metadata(folder: Path, name: str, text: str | None) -> None:
    alter(folder / name, lambda _: text)
    with pytest.raises(EarmarkError, match=name):
        Model(folder)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_of_two_models(folder: Path, name: str) -> None:
    alter_spec(folder, lambda spec: spec.update(version=2), (name,))
    with pytest.raises(EarmarkError, match="different models"):
        Model(folder)


@pytest.mark.parametrize("pair", list(combinations(GRAPHS, 2)))
def test_graphs_in_each_others_place(folder: Path, pair: tuple[str, str]) -> None:
    for name, other in (pair, reversed(pair)):
        shutil.copy(DEFAULT_MODEL / name, folder / other)
    with pytest.raises(EarmarkError, match="graphs"):
        Model(folder)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("how", ["empty", "text", "cut", "flipped"])
def test_a_graph_that_is_damaged(folder: Path, name: str, how: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"garbage " * 100,
        "cut": whole[: len(whole) // 2],
        "flipped": bytes(255 - byte for byte in whole[:4096]) + whole[4096:],
    }
    path.write_bytes(damaged[how])
    with pytest.raises(EarmarkError, match=name):
        Model(folder)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EarmarkError, match=name):
        Model(folder)
    with pytest.raises(EarmarkError, match="no model"):
        Model(folder / "nowhere")


def test_a_state_of_two_streams_is_refused_and_not_read_askew() -> None:
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> frames (float[1,4,8] fbank, float[2,3,8] state)'
        " => (float[1,4,8] records, float[2,3,8] next_state)"
        "{ records = Identity (fbank) next_state = Identity (state) }"
    )
    with pytest.raises(ValueError, match=r"state is \[2, 3, 8\], expected \(1, time, ...\)"):
        FrameStream(onnxruntime.InferenceSession(graph.SerializeToString()))
