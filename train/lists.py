"""Lists of utterances in the forms that corpora come in: a CSV manifest, Kaldi, or folders."""

from __future__ import annotations

import sys
from pathlib import Path

import soundfile

from edge.errors import EarmarkError
from edge.sources.file import SUFFIXES, by_kind
from train.manifest import Utterance, read_manifest, read_utf8

AUDIO = {*SUFFIXES, ".mp3"}  # some large corpora come in

# What a corpus is, as the help of commands tells it.
FOLDER = "folder with train.csv, train/SPEAKER/*.flac or a Kaldi folder train/"


def read_list(corpus: Path, name: str) -> list[Utterance]:
    """The utterances of the list `name` of a corpus.

    It is one of: a manifest `NAME.csv`; a folder `NAME` with Kaldi's `wav.scp`, a file an
    utterance, and, where the speakers are known, `utt2spk`; a folder `NAME` with a folder of
    audio files a speaker.

    Raises:
        EarmarkError: there is none of these, or a line of it is wrong.
    """
    utterances = find_list(corpus, name)
    if utterances is None:
        raise EarmarkError(
            f"no list '{name}' in {corpus}: expected {name}.csv, a Kaldi folder {name} with "
            f"wav.scp, or a folder {name} with a folder of audio files a speaker",
            "Give the folder of the corpus with --corpus FOLDER, or name its lists in data.lists",
        )
    return utterances


def find_list(corpus: Path, name: str) -> list[Utterance] | None:
    """As `read_list`; None if there is no such list.

    Raises:
        EarmarkError: a line of it is wrong.
    """
    csv_path, folder = corpus / f"{name}.csv", corpus / name
    if csv_path.is_file():
        return read_manifest(csv_path)
    if (folder / "wav.scp").is_file():
        return _read_kaldi(folder, name)
    return _read_folders(folder, name) or None


def _read_kaldi(folder: Path, corpus: str) -> list[Utterance]:
    if (folder / "segments").is_file():
        raise EarmarkError(
            f"{folder / 'segments'} cuts utterances out of the files of wav.scp, expected a file "
            "an utterance",
            "Write each to a file (extract-segments), name those in wav.scp, and remove segments",
        )
    recordings = _table(folder / "wav.scp")
    speakers = dict.fromkeys(recordings, "")
    if (folder / "utt2spk").is_file():
        speakers = _table(folder / "utt2spk")
        nameless = [key for key in recordings if key not in speakers]
        if nameless:  # as of nobody known, one of a speaker held out would be trained on
            raise EarmarkError(
                f"{folder / 'utt2spk'} lacks {len(nameless)} of the {len(recordings)} utterances "
                f"of wav.scp, for example {nameless[0]}",
                "Add their speakers, or put those without one in a list of their own",
            )
    utterances = []
    for key, value in recordings.items():
        if value.endswith("|"):
            raise EarmarkError(
                f"{folder / 'wav.scp'}: {key} is a command, expected a file",
                "Write its output to a file, and name that",
            )
        # Kaldi's paths are relative to the folder that its commands are run in.
        path = Path(value) if Path(value).is_absolute() else (Path.cwd() / value)
        utterances.append(_utterance(path, speakers[key], corpus))
    return utterances


def _table(path: Path) -> dict[str, str]:
    """Lines `key value` of a Kaldi table."""
    table: dict[str, str] = {}
    for number, line in enumerate(read_utf8(path).splitlines(), 1):
        parts = line.split(maxsplit=1)
        if len(parts) != 2 or parts[0] in table:
            raise EarmarkError(
                f"{path}, line {number}: expected a new key and a value, got '{line}'",
                "Correct the line",
            )
        table[parts[0]] = parts[1].strip()
    return table


def _read_folders(folder: Path, corpus: str) -> list[Utterance]:
    """The recordings in a folder of folders, one a speaker; what else lies there is told."""
    files = sorted(path for path in folder.glob("**/[!.]*") if not path.is_dir())
    taken = [p for p in files if p.suffix.lower() in AUDIO and p.parent != folder]
    if left := by_kind(set(files).difference(taken)):
        expected = f"expected {', '.join(sorted(AUDIO))} in a folder a speaker"
        print(f"{folder}: left out {left}; {expected}", file=sys.stderr)
    return [_utterance(path, path.relative_to(folder).parts[0], corpus) for path in taken]


def _utterance(path: Path, speaker: str, corpus: str) -> Utterance:
    """An utterance whose length stands in its file alone; none where that cannot be read."""
    try:
        seconds = soundfile.info(path).duration
    except (soundfile.LibsndfileError, OSError):
        seconds = 0.0  # named and left out when the audio is decoded
    return Utterance(path.resolve(), speaker, corpus, seconds)
