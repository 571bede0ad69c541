"""The trained encoder as a file: its shape and its weights, nothing else."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from edge.config_file import parse_config
from edge.errors import EarmarkError
from train.encoder import Encoder, EncoderConfig
from train.saved import read_saved, write_saved


def save_encoder(encoder: Encoder, path: Path) -> None:
    """Write the encoder; a file half written never takes the place of a whole one."""
    write_saved({"config": asdict(encoder.config), "weights": encoder.state_dict()}, path)


def weights_hash(encoder: Encoder) -> str:
    """What tells the weights of one encoder from those of another."""
    digest = sha256()
    for name, values in encoder.state_dict().items():
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()


def load_encoder(path: Path) -> Encoder:
    """Read an encoder, in evaluation mode.

    Raises:
        EarmarkError: no such file, or not an encoder's.
    """
    if not path.is_file():
        raise EarmarkError(f"no encoder at {path}", "Give the encoder.pt of a run of earmark-train")
    try:
        content = read_saved(path)
        encoder = Encoder(parse_config(EncoderConfig, content["config"], str(path)))
        encoder.load_state_dict(content["weights"])
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise EarmarkError(
            f"{path} is not an encoder of this version: {error}",
            "Give the encoder.pt of a run of earmark-train",
        ) from error
    return encoder.eval()
