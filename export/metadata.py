"""What a model says of itself: the specification in the metadata of its graphs."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import onnx

from edge._native import FbankOptions
from edge.across import Across
from edge.encoder import GRAPHS, METADATA_KEY, ModelSpec
from edge.front_end import SAMPLE_RATE, front_end_hash
from edge.resemblance import Resemblance
from edge.scoring import MAX_SECONDS, Calibration
from export.graphs import CHUNK
from train.encoder import EncoderConfig

# llr = cosine, until the scores are calibrated
UNCALIBRATED = Calibration((0.0, 0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), MAX_SECONDS, bend=0.0)
UNMADE = "0" * 16  # fingerprint of graphs that are not written yet
UNKNOWN = Resemblance((0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0))


def model_spec(
    config: EncoderConfig, name: str, training_data: str, licence: str, precision: str
) -> ModelSpec:
    """The specification of an encoder with the default front end, not yet calibrated."""
    options = FbankOptions()
    frames_per_second = round(1000 / options.frame_shift_ms / config.stride)
    return ModelSpec(
        name=name,
        version=1,
        fingerprint=UNMADE,
        sample_rate=SAMPLE_RATE,
        fbank=options.as_dict(),
        front_end_hash=front_end_hash(options),
        frames_per_second=frames_per_second,
        frames_per_chunk=CHUNK,
        frames_per_record=config.frames_per_record,
        look_ahead=config.look_ahead,
        afterthought=config.afterthought,
        embedding=config.embedding,
        across=Across(UNCALIBRATED, UNCALIBRATED, usual=0.0, weight=1.0),
        calibration_within=UNCALIBRATED,
        resemblance=UNKNOWN,
        training_data=training_data,
        licence=licence,
        precision=precision,
    )


def write_spec(folder: Path, spec: ModelSpec) -> None:
    """Put the specification into the metadata of all graphs, with their fingerprint."""
    graphs = {name: onnx.load(folder / name) for name in GRAPHS}
    for graph in graphs.values():
        del graph.metadata_props[:]
    # No profile comes from the segmenter.
    made_by = b"".join(graphs[name].SerializeToString() for name in GRAPHS[:2])
    spec = msgspec.structs.replace(spec, fingerprint=sha256(made_by).hexdigest()[:16])
    for name, graph in graphs.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, msgspec.json.encode(spec).decode()
        onnx.save(graph, folder / name)
