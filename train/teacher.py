"""Distillation targets: several teachers' embeddings fused into one space.

Each teacher is centred and brought to unit length; the concatenation's inner product is then the
mean of the teachers' cosine scores. A projection on its leading principal axes keeps that inner
product almost whole in the student's embedding size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge._native import Fbank, FbankOptions
from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from train.trials import centre_crop
from train.waveforms import Waveforms
from train.whitening import whitening

TARGET_RIDGE = 0.3
ASKED = 8  # recordings of a list at most, by which its array is known for the teacher's
LEAST_SECONDS = 0.5  # of a recording that tells enough
MIDDLE_SECONDS = 5.0  # of it that are heard
# Median of the cosines of what CAM++ says with what its array does: 0.99, whatever part of the
# recordings was heard for that; with the rows of their neighbours, often of one speaker, 0.67.
LEAST_COSINE = 0.85
WINDOW_KEY = "window"  # in a graph's metadata: of the frames that it hears
Matrix = NDArray[np.float32]
Audio = NDArray[np.float32]


class OnnxTeacher:
    """A speaker encoder as one ONNX graph: log-mel frames (1, time, mels), each mel with mean zero
    over the utterance, to an embedding (1, size). Most public encoders have this form.

    The frames are the runtime's, but for the window where the graph's metadata name one.
    """

    def __init__(self, path: Path) -> None:
        """`path`: NAME.onnx.

        Raises:
            EarmarkError: no such file, or not such a graph.
        """
        self.name = path.stem
        self._path = path
        self._owner = 0
        try:
            said = self._said(np.random.default_rng(0).standard_normal(16000).astype("f4"))
            if said.ndim != 2 or len(said) != 1:
                raise ValueError(f"its first output is {said.shape}")
            self.size = said.shape[1]
        except Exception as error:  # onnxruntime raises bare exceptions of its own making
            raise EarmarkError(
                f"{path} does not work as a teacher: {error}",
                "Give an ONNX graph from log-mel frames (1, time, 80) to an embedding (1, size)",
            ) from error

    def __call__(self, audio: Audio) -> NDArray[np.float32]:
        """The embedding (size,) of samples at 16 kHz."""
        row: NDArray[np.float32] = self._said(audio)[0]
        return row

    def _said(self, audio: Audio) -> NDArray[np.float32]:
        if self._owner != os.getpid():  # a session does not outlive a fork into a loader process
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                self._path, options, providers=["CPUExecutionProvider"]
            )
            metadata = self._session.get_modelmeta().custom_metadata_map
            window = metadata.get(WINDOW_KEY, FbankOptions().window)
            self._fbank = Fbank(FbankOptions(window=window))
            self._owner = os.getpid()
        self._fbank.reset()
        frames = self._fbank.push(audio)
        frames = frames - frames.mean(axis=0)
        name = self._session.get_inputs()[0].name
        return np.asarray(self._session.run(None, {name: frames[None]})[0])


class OnlineTarget:
    """Targets in the fused space for audio that no array holds, from teachers run on it.

    Where only some of the teachers can be run, the others' part is what the known utterances say
    it would be, in the sense of least squares.

    Attributes:
        size: values of a target.
    """

    def __init__(
        self,
        teachers: Sequence[OnnxTeacher],
        known: Sequence[Matrix],
        targets: Matrix,
    ) -> None:
        """`known`: each teacher's embeddings of the utterances that `targets` are the targets of.

        Raises:
            EarmarkError: a teacher is not the one that made its embeddings, by their size.
        """
        for teacher, rows in zip(teachers, known, strict=True):
            if teacher.size != rows.shape[1]:
                raise EarmarkError(
                    f"{teacher.name}.onnx gives {teacher.size} values, its array has "
                    f"{rows.shape[1]}",
                    "Give the encoder that made the array",
                )
        self.size: int = targets.shape[1]
        self._teachers = teachers
        self._means = [np.nanmean(_unit(rows), axis=0) for rows in known]
        views = [_unit(_unit(rows) - mean) for rows, mean in zip(known, self._means, strict=True)]
        features = np.concatenate(views, axis=1)
        usable = np.isfinite(features).all(axis=1) & np.isfinite(targets).all(axis=1)
        self._map = np.linalg.lstsq(features[usable], targets[usable], rcond=1e-6)[0]

    def __call__(self, audio: Audio) -> NDArray[np.float32]:
        """The unit-length target (size,) of samples at 16 kHz."""
        said = [teacher(audio) for teacher in self._teachers]
        rows = [_unit(_unit(row) - mean) for row, mean in zip(said, self._means, strict=True)]
        target: NDArray[np.float32] = _unit(np.concatenate(rows) @ self._map).astype(np.float32)
        return target


def teacher_rows(folder: Path, name: str, counts: Mapping[str, int]) -> NDArray[np.floating]:
    """A teacher's embeddings of the rows of several manifests, one after the other.

    A row with a value that is not finite, or with zeros alone, is NaN throughout: it was not
    computed.

    Args:
        folder: as for `fuse_teachers`.
        name: of the teacher.
        counts: utterances of each manifest, by its name.

    Raises:
        EarmarkError: a list has no array of this teacher's, or one that does not fit.
    """
    paths = [folder / f"{stem}.{name}.npy" for stem in counts]
    arrays = [_read_rows(path) for path in paths]
    sizes = sorted({array.shape[1] for array in arrays})
    if len(sizes) > 1:
        raise EarmarkError(
            f"the arrays of the teacher {name} have rows of {' and '.join(map(str, sizes))} values",
            "All must be made by the same encoder",
        )
    # In total they could agree where the rows of one list belong to their neighbours.
    for path, array, count in zip(paths, arrays, counts.values(), strict=True):
        if len(array) != count:
            raise EarmarkError(
                f"{path} has {len(array)} teacher embeddings for {count} utterances",
                "Each manifest needs one row of teacher embeddings an utterance",
            )
    rows: NDArray[np.floating] = np.concatenate(arrays)
    known = np.isfinite(rows).all(axis=1, keepdims=True) & rows.any(axis=1, keepdims=True)
    return np.where(known, rows, np.nan)


def check_rows(
    teacher: OnnxTeacher,
    path: Path,
    rows: NDArray[np.floating],
    waveforms: Waveforms,
    first: int,
) -> None:
    """See that the teacher says of recordings what its array at `path` does: rows in another order
    would not be noticed.

    Args:
        teacher: which made the array.
        path: of the array.
        rows: the array's.
        waveforms: the recordings of these rows, and of others.
        first: index of the first row's recording.

    Raises:
        EarmarkError: it says something else of most that were looked at.
    """
    known = np.flatnonzero(np.isfinite(rows[:, 0]))
    cosines = list[float]()
    for row in known[:: max(1, math.ceil(len(known) / ASKED))]:
        audio = centre_crop(waveforms[first + int(row)], MIDDLE_SECONDS)
        if len(audio) >= LEAST_SECONDS * SAMPLE_RATE:
            said = teacher(audio)
            cosines.append(float(_unit(said) @ _unit(rows[row])))
    if cosines and not np.median(cosines) >= LEAST_COSINE:
        raise EarmarkError(
            f"{teacher.name}.onnx and {path} agree at a cosine of {np.median(cosines):.2f} on "
            f"{len(cosines)} recordings, expected {LEAST_COSINE} or more",
            "Give the encoder that made the array, whose rows are in the order of the list",
        )


def _read_rows(path: Path) -> NDArray[np.floating]:
    if not path.is_file():
        raise EarmarkError(
            f"no teacher embeddings at {path}",
            "Check --corpus, or name the teachers that there are in data.teachers: [] for none",
        )
    try:
        rows = np.load(path)
    except OSError as error:
        raise EarmarkError(f"cannot read {path}: {error}", "Check --corpus") from error
    except (EOFError, ValueError, BadZipFile):  # numpy advises to load it as a pickle, unsafely
        rows = None
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise EarmarkError(
            f"{path} is no array of embeddings, a row an utterance",
            "Compute the teacher's embeddings of the list again",
        )
    return rows


def fuse_teachers(
    folder: Path,
    names: Sequence[str],
    counts: Mapping[str, int],
    size: int,
    *,
    whitened: bool = False,
) -> Matrix:
    """Targets for the rows of several manifests, one after the other.

    Args:
        folder: holds `LIST.TEACHER.npy`, a row an utterance; one with a value that
            is not finite, or with zeros alone, is unknown.
        names: teachers.
        counts: utterances of each manifest, by its name.
        size: of the student's embedding.
        whitened: all directions made alike in variance, so that what sets one voice apart weighs as
            much in the loss as what many have in common.

    Returns:
        Unit-length targets (rows, size); NaN where any teacher has none.

    Raises:
        EarmarkError: an array is missing, is none or does not fit its list, or all together tell
            too little for targets of this size.
    """
    views = [_centred(teacher_rows(folder, name, counts)) for name in names]
    fused = np.concatenate(views, axis=1)
    known = np.isfinite(fused).all(axis=1)
    if min(known.sum(), fused.shape[1]) < size:
        raise EarmarkError(
            f"the teachers {', '.join(names)} know {known.sum()} utterances by {fused.shape[1]} "
            f"values, targets of {size} values need as many of both",
            f"Complete {folder}, or lower encoder.embedding",
        )
    _, _, axes = np.linalg.svd(fused[known], full_matrices=False)
    axes = axes[:size]
    # A singular vector's sign is arbitrary; fixed, a run resumes on any machine with the same map.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    projected = fused @ axes.T
    if whitened:
        rows = projected[known]
        projected = (projected - rows.mean(axis=0)) @ whitening(rows, TARGET_RIDGE)
    targets = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    return targets.astype(np.float32)  # type: ignore[no-any-return]


def _centred(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Unit-length rows around the mean of those that are known."""
    rows = embeddings.astype(np.float64)
    count = np.isfinite(rows[:, :1]).sum()
    return _unit(rows - np.nansum(rows, axis=0) / max(1, count))


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (..., size) brought to unit length; NaN where they have no direction."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        unit: NDArray[np.float64] = rows / lengths
    return unit
