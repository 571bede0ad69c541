"""Makes the conversation that `earmark demo` plays, its truth and one enrolment clip.

Debian's free speech synthesisers speak the script below; each voice gets a seat in a small
synthetic room, all get one level, and a quiet pink noise lies under everything. Every random
number is seeded, so the same synthesisers give the same samples again.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

Audio = npt.NDArray[np.float64]

RATE = 16_000
FRAME = RATE // 100  # 10 ms, the grid on which speech and silence are told apart
SPEECH_DBFS = -23.0
NOISE_DBFS = -60.0
SILENCE_DB = -40.0  # below the loudest frame of a turn, a frame counts as silence
LEAD_IN, LEAD_OUT = 0.8, 1.0  # seconds of room before the first word and after the last
REVERB_SECONDS = 0.3  # until the room's answer has fallen by 60 dB
FESTIVAL_VOICES = Path("/usr/share/festival/voices")


@dataclass(frozen=True)
class Voice:
    """One speaker: a synthesiser's voice, its own settings and a seat in the room.

    For flite the settings are `name=value` features, for festival Scheme expressions.
    """

    program: str
    name: str
    package: str
    settings: tuple[str, ...]
    seat: int
    reverb_db: float  # energy of the room's answer against the direct sound


@dataclass(frozen=True)
class Turn:
    """One turn of the script; `gap` seconds after the end of the one before, negative overlaps."""

    speaker: str
    gap: float
    text: str


@dataclass(frozen=True)
class Span:
    """A turn in its place: `start` and `length` in samples, from first to last sound."""

    speaker: str
    start: int
    length: int


# Chosen for being far apart to two speaker encoders (see README.md), and for their licences.
VOICES = {
    "ada": Voice("festival", "cmu_us_slt_arctic_hts", "festvox-us-slt-hts", (), 1, -13.0),
    "ben": Voice("festival", "ked_diphone", "festvox-kdlpc16k", (), 2, -12.0),
    "callum": Voice("flite", "awb", "flite", (), 3, -14.0),
    "dan": Voice("flite", "kal16", "flite", ("int_f0_target_mean=220",), 4, -11.0),
}
SCRIPT = (
    Turn("ada", 0.0, "Good morning, both of you. Shall we plan the picnic for Saturday?"),
    Turn("ben", 0.45, "Yes, please. I can bring bread, apples, and far too much cheese."),
    Turn("callum", 0.3, "And I will take care of the tea, and of the blankets."),
    Turn("ada", 0.7, "Lovely. By the way, what is that small box on the table?"),
    Turn("callum", 0.35, "That is Earmark. It listens, and it marks who is speaking, and when."),
    Turn("ben", -0.45, "Only who? It does not write down what we say?"),
    Turn("callum", 0.25, "Only who. The words are not its business, and no sound is kept."),
    Turn("ada", 0.5, "And does it send our voices to a computer far away?"),
    Turn("callum", 0.2, "No. It all runs right here on the table."),
    Turn("ben", 0.3, "I like that very much."),
    Turn("dan", 1.2, "Hello, everyone. Sorry that I am late. The bus was full of bicycles."),
    Turn("ada", 0.4, "Hello, Dan. Sit down. You are new, so the box has just given you a number."),
    Turn("dan", 0.3, "A number? Why does it not know my name?"),
    Turn("callum", 0.4, "Ada gave it a few seconds of her voice, so it knows her already."),
    Turn("dan", -0.35, "And what if it is not sure?"),
    Turn("callum", 0.25, "Then it says so. It never guesses from too little speech."),
    Turn("ben", 0.9, "So, Saturday at noon, down by the old mill?"),
    Turn("dan", 0.15, "Perfect. I will bring the lemonade and a football."),
    Turn("ada", 0.1, "And if it rains, we shall eat in my kitchen."),
    Turn("ben", 0.35, "Then everything is settled."),
    Turn("callum", 0.6, "Look. It has marked every one of us."),
)
ENROLLED = "ada"
ENROLMENT = (
    "The river runs under a stone bridge, past seven quiet gardens.",
    "In winter my brother paints pictures of large yellow boats.",
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    result.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        help="folder for the FLAC and RTTM files (default: beside this script)",
    )
    return result


def missing_packages() -> list[str]:
    """The Debian packages without which the script cannot be spoken."""
    missing = {v.program for v in VOICES.values() if shutil.which(v.program) is None}
    for voice in VOICES.values():
        if voice.program == "festival" and not any(FESTIVAL_VOICES.glob(f"*/{voice.name}")):
            missing.add(voice.package)
    return sorted(missing)


def synthesise(voice: Voice, text: str) -> Audio:
    """`text` in `voice`, at 16 kHz, as the synthesiser gives it."""
    with tempfile.TemporaryDirectory() as folder:
        wav = f"{folder}/turn.wav"
        if voice.program == "flite":
            settings = [part for setting in voice.settings for part in ("--setf", setting)]
            command = ["flite", "-voice", voice.name, *settings, "-t", text, "-o", wav]
        else:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            speak = f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{wav}" (quote riff))'
            command = ["festival", "--batch", f"(voice_{voice.name})", *voice.settings, speak]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not Path(wav).exists():
            sys.exit(f"{voice.program} gave no sound for {text!r} in {voice.name}: {done.stderr}")
        samples, rate = sf.read(wav, dtype="float64")
    return np.asarray(soxr.resample(samples, rate, RATE), dtype=np.float64)


def speech_frames(samples: Audio) -> npt.NDArray[np.int64]:
    """Numbers of the 10 ms frames of `samples` that hold sound."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    power = (frames**2).mean(axis=1)
    return np.flatnonzero(power > power.max() * 10 ** (SILENCE_DB / 10))


def level_and_trim(samples: Audio) -> Audio:
    """`samples` from first to last sound, the sounding frames at `SPEECH_DBFS`."""
    active = speech_frames(samples)
    trimmed = samples[active[0] * FRAME : (active[-1] + 1) * FRAME]
    sounding = trimmed.reshape(-1, FRAME)[active - active[0]]
    return np.asarray(trimmed * 10 ** (SPEECH_DBFS / 20) / np.sqrt((sounding**2).mean()))


def seat_response(voice: Voice) -> Audio:
    """The room as heard from the voice's seat: direct sound at 0, then a decaying answer."""
    rng = np.random.default_rng([16, voice.seat])
    t = np.arange(int(REVERB_SECONDS * RATE)) / RATE
    answer = rng.standard_normal(len(t)) * 10 ** (-3 * t / REVERB_SECONDS)
    answer = np.convolve(answer, [0.25, 0.5, 0.25])[: len(t)]  # walls take the treble
    answer[: int(rng.uniform(0.003, 0.008) * RATE)] = 0.0  # way to the nearest wall
    answer *= 10 ** (voice.reverb_db / 20) / np.sqrt((answer**2).sum())
    answer[0] = 1.0
    return np.asarray(answer / np.sqrt((answer**2).sum()))


def in_room(samples: Audio, voice: Voice) -> Audio:
    """`samples` spoken from the voice's seat, with the room's tail."""
    response = seat_response(voice)
    length = len(samples) + len(response) - 1
    spectrum = np.fft.rfft(samples, length) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(spectrum, length))


def pink_noise(length: int, seed: int) -> Audio:
    """Noise of equal power per octave from 40 Hz, at `NOISE_DBFS`."""
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    pink = np.fft.irfft(white / np.sqrt(np.maximum(frequency, 40.0)), length)
    return np.asarray(pink * 10 ** (NOISE_DBFS / 20) / np.sqrt((pink**2).mean()))


def converse(turns: Iterable[Turn], seed: int) -> tuple[Audio, list[Span]]:
    """All turns, one after the other in the room, and where each came to lie."""
    spans: list[Span] = []
    heard: list[Audio] = []
    end = int(LEAD_IN * RATE)
    for turn in turns:
        voice = VOICES[turn.speaker]
        dry = level_and_trim(synthesise(voice, turn.text))
        start = end + round(turn.gap * RATE)
        spans.append(Span(turn.speaker, start, len(dry)))
        heard.append(in_room(dry, voice))
        end = start + len(dry)
    mix = pink_noise(end + int(LEAD_OUT * RATE), seed)
    for span, samples in zip(spans, heard, strict=True):
        mix[span.start : span.start + len(samples)] += samples
    return mix, spans


def rttm(spans: Iterable[Span]) -> str:
    """The spans as NIST RTTM, in seconds."""
    return "".join(
        f"SPEAKER conversation 1 {span.start / RATE:.3f} {span.length / RATE:.3f} "
        f"<NA> <NA> {span.speaker} <NA> <NA>\n"
        for span in spans
    )


def write_flac(path: Path, samples: Audio) -> None:
    """16-bit FLAC; refuses to clip."""
    peak = float(np.abs(samples).max())
    if peak >= 1.0:
        sys.exit(f"{path.name} would clip: peak {peak:.2f}, expected below 1; lower SPEECH_DBFS")
    pcm = np.round(samples * 32_767).astype(np.int16)
    sf.write(path, pcm, RATE, subtype="PCM_16")
    print(f"{path}: {len(pcm) / RATE:.1f} s, {path.stat().st_size / 1e6:.2f} MB, peak {peak:.2f}")


def main() -> None:
    """Write the three files."""
    out: Path = parser().parse_args().out
    if missing := missing_packages():
        sys.exit(f"synthesisers missing; run: apt-get install {' '.join(missing)}")
    if not out.is_dir():
        sys.exit(f"--out: expected a folder, got {out}; make it first")
    conversation, spans = converse(SCRIPT, seed=1)
    enrolment, _ = converse([Turn(ENROLLED, 0.4, text) for text in ENROLMENT], seed=2)
    write_flac(out / "conversation.flac", conversation)
    write_flac(out / f"enrol_{ENROLLED}.flac", enrolment)
    (out / "conversation.rttm").write_text(rttm(spans), encoding="ascii")
    speech = sum(span.length for span in spans) / RATE
    print(f"{out / 'conversation.rttm'}: {len(spans)} turns, {speech:.1f} s of speech")


if __name__ == "__main__":
    main()
