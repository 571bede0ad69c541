"""One explicit training loop: resumable, seeded, and open about what it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Subset

from edge.errors import EarmarkError
from edge.whole_file import UNFINISHED, write_whole
from train.batches import Batch, Batches
from train.checkpoint import Parts, interrupts_held, load_checkpoint, save_checkpoint, saving
from train.config import TrainConfig
from train.corpus import Corpus
from train.curves import plot_curves
from train.encoder import Encoder, split_level
from train.encoder_file import load_encoder, save_encoder, weights_hash
from train.loader import in_order
from train.losses import AamSoftmax
from train.objective import Objective, margin_at
from train.optimiser import check_finite, learning_rate, parameter_groups
from train.provenance import check_unchanged, write_provenance
from train.run_folder import RunFolder
from train.run_log import add_row, drop_rows_after
from train.trials import crop_embedder, verification_errors
from train.whitening import whiten_head

VALIDATE_STEPS = 500
WHITENING_BATCHES = 120


class Trainer:
    """Trains an encoder in a run folder; started again there, it goes on where it stopped."""

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        run: Path,
        workers: int,
        initial: Encoder | None = None,
    ) -> None:
        """`initial`: an encoder whose weights a new run begins with, instead of random ones."""
        self.config = config
        self.corpus = corpus
        self.run = RunFolder(run)
        self.workers = workers
        optimiser, loss = config.optimiser, config.loss
        self.accelerator = Accelerator(
            mixed_precision=optimiser.precision,
            cpu=not torch.cuda.is_available(),  # said aloud, or processes on a CPU go unnoticed
            # The activity outputs are trained later, by another loop.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        torch.manual_seed(config.seed)
        self.batches = Batches(
            config,
            utterances=corpus.train,
            indices=corpus.train_indices,
            waveforms=corpus.waveforms,
            targets=corpus.targets,
            augmenter=corpus.augmenter(config.augment),
            online=corpus.online,
            kept=corpus.kept,
            per_step=optimiser.accumulate * self.accelerator.num_processes,
        )
        self.initial = initial
        self.encoder = Encoder(config.encoder)
        self.classifier = AamSoftmax(self.batches.class_centres(), loss.sub_centres, loss.scale)
        self.optimiser = torch.optim.AdamW(
            parameter_groups([self.encoder, self.classifier], optimiser.weight_decay),
            lr=optimiser.learning_rate,
            fused=True,
        )
        objective = Objective(self.encoder, self.classifier, loss)
        self.objective, self.optimiser = self.accelerator.prepare(objective, self.optimiser)
        self.average = AveragedModel(
            self.encoder,
            multi_avg_fn=get_ema_multi_avg_fn(optimiser.ema_decay),
            use_buffers=True,
        )
        self.step = 0

    def alone(self) -> AbstractContextManager[None]:
        """No other run writes in this one's folder meanwhile: see `RunFolder.alone`."""
        return self.run.alone() if self._leads else nullcontext()

    def train(self) -> Encoder:
        """Run to the last step; returns the averaged encoder, in evaluation mode.

        Where no steps are asked, that is the encoder which the run begins with; where all were
        taken before, what they left. With several processes, started by torchrun, each calls this;
        the first one writes.
        """
        self._begin()
        if not self.config.optimiser.steps:
            return self.encoder.eval()
        done = self.run.stage("encoder")
        if done.is_file():
            return load_encoder(done).to(self.accelerator.device)
        judged = self._can_judge()
        with self._progress() as progress, saving(self._save) as save_when_due:
            task = progress.add_task(
                "training", total=self.config.optimiser.steps, completed=self.step
            )
            for batches in self._steps():
                with interrupts_held():
                    terms = self._update(batches)
                    self.step += 1
                if self.step % 50 == 0:
                    self._log("train.csv", terms)
                if judged and self.step % VALIDATE_STEPS == 0 and self._leads:
                    self._log("validation.csv", self.validate(self.averaged_encoder()))
                progress.update(task, advance=1, description=f"loss {terms['loss']:.3f}")
                save_when_due()
        encoder = self.averaged_encoder()
        if self._leads:
            whiten_head(encoder, self._embeddings(encoder), self.config.optimiser.whitening_ridge)
            save_encoder(encoder, done)
        return encoder

    @property
    def _leads(self) -> bool:
        """Whether this is the process that writes and tells."""
        return bool(self.accelerator.is_main_process)

    def _can_judge(self) -> bool:
        """Whether speakers are held out by whom an encoder can be judged; if not, that is told."""
        try:
            self.corpus.check_judges()
        except EarmarkError as error:
            if self._leads:
                print(f"not judged while it is trained: {error}", file=sys.stderr)
            return False
        return True

    def _begin(self) -> None:
        """Go on from the checkpoint, or from what a new run begins with."""
        if self.run.results():
            check_unchanged(self.run.path, self.config)
            self._check_beginnings()
        self.accelerator.wait_for_everyone()  # all have seen what is there before it changes
        if self._leads:
            self.run.path.mkdir(parents=True, exist_ok=True)
            for left in self.run.path.rglob(UNFINISHED):  # by a run that was killed
                left.unlink()
            write_provenance(self.run.path, self.config)
            for path, _, now in self._beginnings():
                write_whole(path, now)
        if self.run.checkpoint.is_file():
            self.step = load_checkpoint(self.run.checkpoint, self._parts)
        elif self.initial is not None:
            self.encoder.load_state_dict(self.initial.state_dict())
        else:
            self._measure_input()
        if self._leads and not self.run.stage("encoder").is_file():
            for name in ("train.csv", "validation.csv"):
                drop_rows_after(self.run.path / name, self.step)
        self.accelerator.wait_for_everyone()

    def _beginnings(self) -> list[tuple[Path, str, str]]:
        """Files that say what the run was begun with, what differs if they do, and what is now."""
        initial = weights_hash(self.initial) if self.initial is not None else "random"
        return [
            (self.run.path / "initial.sha256", "the weights of another encoder", initial),
            (self.run.path / "corpus.sha256", "other utterances", self.corpus.fingerprint()),
        ]

    def _check_beginnings(self) -> None:
        """Raise if the run was begun with other weights or utterances.

        What it kept was heard by those weights, and its speakers are numbers of those utterances'.
        """
        for path, other, now in self._beginnings():
            if path.is_file() and path.read_text() != now:
                raise EarmarkError(
                    f"{self.run.path} was begun with {other}",
                    "Give those again, or begin in another folder with --run",
                )

    def _steps(self) -> Iterator[tuple[Batch, ...]]:
        """This process's batches of every step that is left."""
        accelerator = self.accelerator
        first = self.step * self.batches.per_step + accelerator.process_index
        own = range(first, len(self.batches), accelerator.num_processes)
        loader = in_order(Subset(self.batches, own), self.workers, ahead=4)
        return zip(*[iter(loader)] * self.config.optimiser.accumulate, strict=True)

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, TimeRemainingColumn(), disable=not self._leads)

    def averaged_encoder(self) -> Encoder:
        """The encoder whose weights are the running average, in evaluation mode."""
        encoder = self.average.module
        assert isinstance(encoder, Encoder)
        return encoder.eval()

    def _embeddings(self, encoder: Encoder) -> NDArray[np.float32]:
        """What the encoder says of training crops, (count, embedding)."""
        crops = self.batches.untaught()
        count = min(WHITENING_BATCHES, len(crops))
        with torch.inference_mode():
            batches = (
                crops[i].to(self.accelerator.device) for i in track(range(count), "whitening")
            )
            rows = [encoder(batch.fbank, batch.mask) for batch in batches]
        return torch.cat(rows).cpu().numpy()

    def validate(self, encoder: Encoder) -> dict[str, float]:
        """EER (%) and minDCF on 3 s crops of speakers held out from the training side."""
        audios, speakers = self.corpus.held_out_trials()
        embed = crop_embedder(encoder)
        eer, cost = verification_errors(audios, speakers, embed, 3.0)
        return {"eer_3s": 100 * eer, "min_dcf_3s": cost}

    def _update(self, batches: Sequence[Batch]) -> dict[str, float]:
        """One step of the optimiser; the loss terms of the last of the step's batches."""
        settings, accelerator = self.config.optimiser, self.accelerator
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        margin = margin_at(self.step, self.config.loss)
        self.optimiser.zero_grad()
        for i, batch in enumerate(batches):
            last = i == len(batches) - 1
            # Between devices, gradients are exchanged once a step.
            with nullcontext() if last else accelerator.no_sync(self.objective):
                terms = self.objective(batch.to(accelerator.device), margin)
                check_finite("loss", terms["loss"], self.step)
                accelerator.backward(terms["loss"] / len(batches))
        norm = accelerator.clip_grad_norm_(self.encoder.parameters(), settings.clip_norm)
        check_finite("norm of the gradient", norm, self.step)
        self.optimiser.step()
        self.average.update_parameters(self.encoder)
        return {name: term.item() for name, term in terms.items()}

    def _measure_input(self) -> None:
        """Fix the input normalisation from the first batches, before any weight is learnt."""
        frames = torch.cat([self.batches[i].fbank.flatten(0, 1) for i in range(4)])
        inputs = split_level(frames)
        self.encoder.input_mean.copy_(inputs.mean(dim=0))
        self.encoder.input_std.copy_(inputs.std(dim=0))

    def _log(self, name: str, values: dict[str, float]) -> None:
        if self._leads:
            add_row(self.run.path / name, self.step, values)

    @property
    def _parts(self) -> Parts:
        return {
            "encoder": self.encoder,
            "classifier": self.classifier,
            "average": self.average,
            "optimiser": self.optimiser,
        }

    def _save(self) -> None:
        if not self._leads:
            return
        save_checkpoint(self.run.checkpoint, self.step, self._parts)
        plot_curves(self.run.path)
