"""The streaming encoder: audio in, records of additive statistics out, by ONNX Runtime.

A model is a folder with three graphs: `frames.onnx`, (fbank, states) -> (records, what was heard);
`head.onnx`, statistics -> embedding; and `segmenter.onnx`, embeddings along a segment -> which of
them are one voice's. A stream begins with states of zeros. All graphs carry their `ModelSpec` in
the ONNX metadata.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge._native import Fbank, FbankOptions
from edge.across import Across
from edge.errors import EarmarkError
from edge.frame_stream import ChunkStream, Frames, FrameStream
from edge.front_end import SAMPLE_RATE, front_end_hash
from edge.resemblance import Resemblance
from edge.scoring import Calibration
from edge.statistics import AROUND, Sums

METADATA_KEY = "earmark"
GRAPHS = ("frames.onnx", "head.onnx", "segmenter.onnx")
SHIPPED = Path(__file__).parent / "models"  # in folders by name
DEFAULT_MODEL = SHIPPED / "small"

Samples = NDArray[np.float32]
Count = Annotated[int, msgspec.Meta(gt=0)]


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the runtime must know of a model; frames are those of the fbank."""

    name: str
    version: int
    # Of the graphs that make statistics and embeddings: what a stored profile belongs to.
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    sample_rate: int
    fbank: dict[str, float | int | str | bool]
    front_end_hash: str
    frames_per_second: Count  # encoder frames counted by the first element of the statistics
    frames_per_chunk: Count
    frames_per_record: Count
    look_ahead: Annotated[int, msgspec.Meta(ge=0)]
    afterthought: Annotated[int, msgspec.Meta(ge=1, le=10)]  # records back that `Activity` tells of
    embedding: int
    across: Across  # odds of scores between recordings
    calibration_within: Calibration  # of scores within a usual recording
    resemblance: Resemblance  # of the voices of one recording
    training_data: str
    licence: str
    precision: str


class Activity(NamedTuple):
    """Probabilities by a record: of speech in it; of speech and overlap `afterthought` before."""

    speech: float
    later_speech: float
    later_overlap: float


class Model:
    """The graphs of an encoder; one model serves any number of streams."""

    def __init__(self, folder: Path) -> None:
        paths = [folder / name for name in GRAPHS]
        for path in paths:
            if not path.is_file():
                raise EarmarkError(
                    f"no model at {folder}: {path.name} is missing",
                    "Give small, tiny, or a folder made by earmark-export",
                )
        # The small graphs first: the memory in which they are unpacked is free for the large one.
        sessions = [_session(path.read_bytes(), path) for path in paths[::-1]][::-1]
        self._frames, self._head, self._segmenter = sessions
        self.spec, *others = map(_read_spec, sessions, paths)
        if any(spec != self.spec for spec in others):
            raise EarmarkError(
                f"{folder}: {', '.join(GRAPHS)} belong to different models",
                "Export the model again",
            )
        self.id = self.spec.fingerprint
        odds = msgspec.json.encode([self.id, self.spec.across])
        self.odds_id = sha256(odds).hexdigest()[:16]  # what a user's own odds belong to
        self.fbank_options = _check_front_end(self.spec, folder)
        # Within one recording all voices share its room and line: strangers are more alike there
        # than elsewhere, and a speaker much more like themselves.
        self.across = self.spec.across
        self.within = self.spec.calibration_within
        self.resemblance = self.spec.resemblance
        try:
            self.statistics_size = int(self._head.get_inputs()[0].shape[1])
            self._try_graphs()
        except Exception as error:  # onnxruntime raises bare exceptions of its own making
            raise EarmarkError(
                f"{folder}: the graphs do not work as their metadata say: {error}",
                "Export the model again",
            ) from error

    @classmethod
    def load(cls, folder: Path | None = None) -> Model:
        """The model in `folder`, or of that name among those that ship; none given: `small`.

        Raises:
            EarmarkError: no model there, not an Earmark model, or behind another front end.
        """
        folder = folder or DEFAULT_MODEL
        named = SHIPPED / folder
        ships = len(folder.parts) == 1 and (named / GRAPHS[0]).is_file()
        return cls(named if ships else folder)

    @property
    def record_samples(self) -> int:
        """Samples that one record covers."""
        return self.spec.frames_per_record * self.frame_shift

    @property
    def delay(self) -> int:
        """Samples by which a record's span lies before the frames that it was computed from."""
        return self.spec.look_ahead * self.frame_shift

    @property
    def frame_shift(self) -> int:
        """Samples from one fbank frame to the next."""
        return round(self.fbank_options.frame_shift_ms * SAMPLE_RATE / 1000)

    def seconds(self, statistics: Sums) -> NDArray[np.float64]:
        """Net speech behind statistics (..., size), in seconds."""
        count: NDArray[np.float64] = statistics[..., 0] / self.spec.frames_per_second
        return count

    def activity(self, statistics: Sums) -> Activity:
        """Mean probabilities over statistics (size,)."""
        return Activity(*(statistics[-len(Activity._fields) :] / max(statistics[0], 1.0)).tolist())

    def embed(self, statistics: Sums) -> NDArray[np.float64]:
        """Embeddings (rows, embedding), of any length, of statistics (rows, size)."""
        means = statistics / np.maximum(statistics[:, :1], 1.0)  # keeps float32 exact for any n
        rows: NDArray[np.float32] = self._head.run(None, {"statistics": means.astype(np.float32)})[
            0
        ]
        return rows.astype(np.float64)

    def one_voice(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds (tokens, tokens) that two tokens of a segment are one voice's.

        `tokens` (tokens, values): see `edge.segmenter.as_tokens`.
        """
        inputs = {"tokens": tokens[None].astype(np.float32)}
        (log_odds,) = self._segmenter.run(None, inputs)[0]
        return np.asarray(log_odds, dtype=np.float64)

    def frame_stream(self) -> ChunkStream:
        """A stream through the frames graph that has heard nothing."""
        return FrameStream(self._frames)

    def _try_graphs(self) -> None:
        """Run silence through the graphs; the second chunk shows whether the states fit."""
        spec = self.spec
        chunk = np.zeros((spec.frames_per_chunk, self.fbank_options.num_mels), dtype=np.float32)
        stream = self.frame_stream()
        stream.push(chunk)
        records = stream.push(chunk)
        embeddings = self.embed(records.astype(np.float64))
        tokens = np.zeros((2, len(AROUND) * spec.embedding))
        count = spec.frames_per_chunk // spec.frames_per_record
        for what, array, shape in (
            ("records", records, (count, self.statistics_size)),
            ("embeddings", embeddings, (count, spec.embedding)),
            ("log-odds", self.one_voice(tokens), (2, 2)),
        ):
            if array.shape != shape:
                raise ValueError(f"{what} of shape {shape} expected, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{what} are not finite")


class EncoderStream:
    """One stream through the encoder. Chunks are of fixed size, whatever the blocks pushed."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._fbank = Fbank(model.fbank_options)
        self._waiting: Frames = np.empty((0, model.fbank_options.num_mels), dtype=np.float32)
        self._frames = model.frame_stream()

    def push(self, samples: Samples) -> Samples:
        """Records (n, size), one per 100 ms, that the samples (k,) at 16 kHz complete.

        Record r of the stream covers samples [r·L - delay, (r+1)·L - delay), L = record_samples.
        """
        frames = np.concatenate([self._waiting, self._fbank.push(samples)])
        chunk = self._model.spec.frames_per_chunk
        records = [np.empty((0, self._model.statistics_size), dtype=np.float32)]
        for start in range(0, len(frames) - chunk + 1, chunk):
            records.append(self._frames.push(frames[start : start + chunk]))
        self._waiting = frames[len(frames) // chunk * chunk :].copy()
        return np.concatenate(records)


def _session(graph: bytes, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a second thread gains nothing at this size
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises bare exceptions of its own making
        raise EarmarkError(
            f"{path} is not a usable ONNX model: {error}", "Export it again"
        ) from error


def _read_spec(session: onnxruntime.InferenceSession, path: Path) -> ModelSpec:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise EarmarkError(
            f"{path} carries no Earmark metadata", "Export encoders with earmark-export"
        )
    try:
        return msgspec.json.decode(text, type=ModelSpec)
    except msgspec.DecodeError as error:
        raise EarmarkError(f"{path}: bad metadata: {error}", "Export the model again") from error


def _check_front_end(spec: ModelSpec, folder: Path) -> FbankOptions:
    try:
        options = FbankOptions.from_dict(spec.fbank)
    except (TypeError, ValueError) as error:
        raise EarmarkError(f"{folder}: bad fbank options: {error}", "Export it again") from error
    if spec.sample_rate != SAMPLE_RATE or options.sample_rate != SAMPLE_RATE:
        raise EarmarkError(
            f"{folder} expects {spec.sample_rate} Hz, the runtime works at {SAMPLE_RATE} Hz",
            "Train an encoder for that rate",
        )
    expected = front_end_hash(options)
    if spec.front_end_hash != expected:
        raise EarmarkError(
            f"{folder} was made for the front end {spec.front_end_hash}, this one is {expected}",
            "Export the model with this version of Earmark",
        )
    return options
