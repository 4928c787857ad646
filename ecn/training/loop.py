"""The loop itself: steps and epochs, from fresh weights or from a state to the end of the schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from ecn.data.batch import CrystalBatch
from ecn.data.rows import Dataset, rows_of
from ecn.inference.forward import max_edges, memory_of, predict_rows
from ecn.models.base import CrystalModel
from ecn.targets.goal import Goal
from ecn.training.devices import Stop, is_first, say, seed_draws
from ecn.training.feed import Feed
from ecn.training.logs import Epoch, in_words
from ecn.training.presets import Preset
from ecn.training.schedule import Schedule
from ecn.training.state import derived_seed
from mpclean.errors import UserError

#: Seconds of training between two states that are saved within an epoch.
_SAVE_EVERY = 300.0

#: Seconds of training after which the end is estimated: the first steps are slower than the others.
_ESTIMATE_AFTER = 10.0


class Objective(nn.Module):
    """A network with its loss: what is differentiated, and what devices exchange the gradients of."""

    def __init__(self, network: CrystalModel, goal: Goal, kind: str, delta: float) -> None:
        super().__init__()
        self.network, self.goal, self.kind, self.delta = network, goal, kind, delta

    def forward(self, batch: CrystalBatch, labels: Tensor, crystal: Tensor) -> Tensor:
        """Compute the sum of the losses of a batch, in the precision of the labels; see `Goal.loss`."""
        output = rows_of(self.network(batch), batch, per_site=self.goal.per_site)
        return self.goal.loss(output.to(labels.dtype), labels, crystal, self.kind, self.delta)


@dataclass
class Progress:
    """How far a training is."""

    epoch: int = 1
    """The one under way."""
    batches: int = 0
    """Steps of that epoch that are over."""
    rows: int = 0
    """Rows that they took."""
    step: int = 0
    """Steps since the start."""
    seconds: float = 0.0
    """Spent training before this process."""
    epoch_seconds: float = 0.0
    """Of that, within the epoch under way."""
    history: list[Epoch] = field(default_factory=list)
    """The epochs that are over."""
    over: bool = False
    """Whether the schedule, or the time, is at its end."""


class Loop:
    """One training.

    Parameters
    ----------
    fabric
        The devices.
    network
        With fresh weights; trained in place.
    goal
        The targets, with the units that they are learned in.
    preset
        The settings.
    train, validation
        The rows.
    seed
        Fixes the order of the rows and what is drawn.
    time_limit
        Minutes of training after which it ends.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: CrystalModel,
        goal: Goal,
        preset: Preset,
        train: Feed,
        validation: Feed,
        *,
        seed: int,
        time_limit: float | None,
    ) -> None:
        self.fabric, self.goal, self.preset = fabric, goal, preset
        self.train, self.validation, self.seed, self.time_limit = train, validation, seed, time_limit
        self.n_rows = len(train)
        objective = Objective(network, goal, preset.loss, preset.huber_delta)
        # Fused: one call for all weights; a step of a small network else spends a tenth of its time here.
        optimizer = AdamW(
            objective.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay, fused=True
        )
        self.objective, self.optimizer = fabric.setup(objective, optimizer)
        self.network = network
        self.averaged = AveragedModel(network, multi_avg_fn=self._average) if preset.average_decay else None
        self.schedule = Schedule(preset)
        self.edges = (  # a crystal is never split, so one edge stands for one crystal
            max(1, preset.max_edges // network.copies)
            if preset.max_edges
            else max_edges(network, fabric.device)
        )
        self.progress = Progress()
        # Of the epoch under way, on the device: the sum of the losses that it computed, and all labels.
        self.total = torch.zeros((), dtype=torch.float64, device=fabric.device)
        self.n_labels = torch.zeros((), dtype=torch.int64, device=fabric.device)
        self.started = time.monotonic()
        self.estimated = False

    @property
    def result(self) -> CrystalModel:
        """The network that is validated and kept: the trained one, or the average of its weights."""
        return cast(CrystalModel, self.averaged.module) if self.averaged else self.network

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs to know; devices that train together ask for it together."""
        progress = asdict(self.progress) | {"seconds": self._spent(), "epoch_seconds": self._spent_in_epoch()}
        return {
            "progress": progress,
            "total": self._total(),
            "n_labels": self.n_labels,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged else {},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`."""
        history = [Epoch(**epoch) for epoch in state["progress"]["history"]]
        self.progress = Progress(**state["progress"] | {"history": history})
        if self.fabric.global_rank == 0:  # the sum of all devices
            self.total.copy_(state["total"])
        self.n_labels.copy_(state["n_labels"])
        self.network.load_state_dict(state["network"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.started = time.monotonic()

    def epochs(self, save: Callable[[], None], stop: Stop) -> Iterator[Epoch]:
        """Train; yield after every epoch, when `result` holds its weights.

        Parameters
        ----------
        save
            Called now and then within an epoch, to save the state.
        stop
            When it is asked for, the state is saved after the step under way, and no epoch follows.

        Raises
        ------
        UserError
            If the loss stops being finite, or a pass does not fit in the memory of the device.
        """
        way_out = f"a pass has {self.edges * self.network.copies:,} edges: allow fewer with --max-edges"
        while self.progress.epoch <= self.preset.epochs and not self.progress.over:
            with memory_of(self.fabric.device, way_out):
                over = self._train_epoch(save, stop)
                if over and self.progress.batches == 0:  # the time ended between two epochs
                    self.progress.over = True
                if stop.asked or self.progress.over:
                    save()
                    return
                scores = self._validate()
            score = self.goal.score(scores)
            train_loss, rate = self._mean_loss(), float(self.optimizer.param_groups[0]["lr"])
            if not (math.isfinite(score) and math.isfinite(train_loss)):
                raise UserError(self._diverged())
            epoch = Epoch(self.progress.epoch, train_loss, score, rate, self._spent_in_epoch(), scores)
            self._begin_epoch(epoch, over or self.schedule.after_epoch(score))
            yield epoch

    def _begin_epoch(self, last: Epoch, over: bool) -> None:
        progress = self.progress
        progress.history.append(last)
        progress.over = over
        progress.epoch, progress.batches, progress.rows = progress.epoch + 1, 0, 0
        progress.seconds, progress.epoch_seconds, self.started = self._spent(), 0.0, time.monotonic()
        self.total.zero_()
        self.n_labels.zero_()

    def _train_epoch(self, save: Callable[[], None], stop: Stop) -> bool:
        """Go through the rows that are left of the epoch; whether the time is over."""
        progress, saved = self.progress, time.monotonic()
        self.objective.train()
        name = f"epoch {progress.epoch}"
        with tqdm(
            total=self.n_rows, initial=progress.rows, desc=name, unit="crystal", leave=False,
            disable=None if is_first() else True,
        ) as bar:  # fmt: skip
            for number, (data, index) in enumerate(self._batches()):
                if number < progress.batches:
                    continue
                due = time.monotonic() - saved > _SAVE_EVERY
                done, stop.asked, due = self._agree(self._done(), stop.asked, due)
                if stop.asked or (done >= 1.0 and progress.step > 0):
                    return True
                if due:
                    saved = time.monotonic()
                    if not math.isfinite(self._mean_loss()):
                        raise UserError(self._diverged())
                    save()
                position = progress.epoch - 1 + (progress.rows + len(index)) / self.n_rows
                self._step(data, index, self.schedule.rate(done, position))
                progress.batches, progress.rows, progress.step = (
                    number + 1,
                    progress.rows + len(index),
                    progress.step + 1,
                )
                bar.update(len(index))
                self._estimate_once()
        done, stop.asked, _ = self._agree(self._done(), stop.asked, False)
        return done >= 1.0

    def _batches(self) -> Iterator[tuple[Dataset, Tensor]]:
        """Read the rows of every step of the epoch under way, in an order that the seed fixes."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.progress.epoch))
        for data, order in self.train.blocks(generator):
            if self.preset.batch_edges is None:
                batches = iter(order.split(self.preset.batch_size))
            else:
                batches = data.crystals.fill(order, self.preset.batch_edges)
            for index in batches:
                yield data, index

    def _step(self, data: Dataset, index: Tensor, rate: float) -> None:
        """One step: the gradients of the passes that its rows take, summed, then the optimizer."""
        fabric, rank = self.fabric, self.fabric.global_rank
        # What a step draws (dropout) follows from its number: no state of a generator need be kept.
        seed_draws(fabric.device, derived_seed(self.seed, rank, self.progress.step))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        share, counts = index[rank :: fabric.world_size], 1.0
        if len(share) == 0:  # devices wait for one another: one without a row takes any, for nothing
            share, counts = index[:1], 0.0
        # Devices average their gradients, and the loss of a batch is a mean over its labels.
        n_labels = data.n_labels(index)
        weight = counts * fabric.world_size / n_labels.clamp(min=1)
        parts = data.crystals.passes(share, self.edges)
        for k, part in enumerate(parts):
            with fabric.no_backward_sync(self.objective, enabled=k < len(parts) - 1):
                labels, crystal = data.labels_of(part)
                loss = self.objective(data.crystals.batch(part), self.goal.learned(labels), crystal)
                fabric.backward(loss * weight)
            self.total += loss.detach() * counts
        self.n_labels += n_labels
        if self.preset.clip_norm is not None:
            fabric.clip_gradients(
                self.objective, self.optimizer, max_norm=self.preset.clip_norm, error_if_nonfinite=False
            )
        self.optimizer.step()
        if self.averaged:
            self.averaged.update_parameters(self.network)

    def _average(self, averaged: Any, current: Any, _: Any) -> None:
        """One step of the running average, which forgets the first weights sooner than the later ones."""
        step, decay = self.progress.step, self.preset.average_decay or 0.0
        get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(averaged, current, None)

    def _total(self) -> Tensor:
        return self._together(self.total.clone(), "sum")

    def _mean_loss(self) -> float:
        return float(self._total()) / max(1, int(self.n_labels))

    def _validate(self) -> dict[str, float]:
        """Compute the validation score of every target, each device predicting its share of the rows."""
        network, fabric, per_site = self.result, self.fabric, self.goal.per_site
        was_training = network.training
        network.eval()
        found, first = [], 0
        for data, index in self.validation.blocks():
            labels, crystal = data.labels_of(index)
            mine = crystal % fabric.world_size == fabric.global_rank
            output = torch.zeros_like(labels)
            share = index[fabric.global_rank :: fabric.world_size]
            if len(share):
                with fabric.autocast():
                    output[mine] = predict_rows(network, data.crystals, self.edges, share, per_site).to(
                        output
                    )
            found.append((self._together(output, "sum"), labels, first + crystal))
            first += len(index)
        network.train(was_training)
        output, labels, crystal = (torch.cat(parts) for parts in zip(*found, strict=True))
        return self.goal.scores(self.goal.predicted(output), labels, crystal)

    def _agree(self, done: float, *flags: bool) -> tuple[Any, ...]:
        """Say what devices agree on, since their clocks and signals differ: the most of each."""
        if self.fabric.world_size > 1:
            ours = torch.tensor([done, *flags], dtype=torch.float64, device=self.fabric.device)
            done, *most = self._together(ours, "max").tolist()
            flags = tuple(map(bool, most))
        return done, *flags

    def _together(self, ours: Tensor, how: str) -> Tensor:
        """Compute the sum or the maximum over the devices of a tensor that each has."""
        result = self.fabric.all_reduce(ours, reduce_op=how)
        assert isinstance(result, Tensor)
        return result

    def _done(self) -> float:
        """How much of the training is over: of its epochs, or of the time allowed."""
        progress = self.progress
        done = (progress.epoch - 1 + progress.rows / self.n_rows) / self.preset.epochs
        if self.time_limit is None:
            return done
        return max(done, self._spent() / (60.0 * self.time_limit))

    def seconds_left(self) -> float:
        """Estimate the seconds to the end of the last epoch from the pace so far."""
        done = self._done()
        return 0.0 if self.progress.over or not done else self._spent() * max(0.0, 1.0 - done) / done

    def _estimate_once(self) -> None:
        """Say when the training will end, once, as soon as its pace is known."""
        if self.estimated or self._spent() < _ESTIMATE_AFTER:
            return
        self.estimated = True
        left = self.seconds_left()
        end = datetime.now() + timedelta(seconds=left)
        say(f"about {in_words(left)} to the end of the last epoch, at {end:%H:%M} on {end:%d %B}")

    def _spent(self) -> float:
        return self.progress.seconds + time.monotonic() - self.started

    def _spent_in_epoch(self) -> float:
        return self.progress.epoch_seconds + time.monotonic() - self.started

    def _diverged(self) -> str:
        best = min(self.progress.history, key=lambda epoch: epoch.validation_score, default=None)
        kept = f" (epoch {best.epoch}, the best so far, is kept)" if best else ""
        epoch = self.progress.epoch
        return (
            f"epoch {epoch}: the loss is not finite any more; lower the learning rate with --set "
            f"learning_rate=...{kept}"
        )
