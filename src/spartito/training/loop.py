"""The training loop that every recipe shares.

One plain loop on Lightning Fabric, which brings devices, precision and several processes. A recipe hands over a
network, a loss, and `batch_at(index)`, which makes batch number `index` from the index alone: so that a run that was
stopped and resumed sees the very batches that it would have seen, and several processes see different ones.

Networks that are trained against each other have several losses, each with its own optimiser: a step goes through them
in order, with the same batch.

In the folder of a run: `log.jsonl` (one line per report), `checkpoint.pt` (everything needed to resume, replaced
atomically every few minutes), and at the end `model.safetensors` (the averaged weights in float16).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spartito.errors import MissingExtraError, ParameterError
from spartito.files import atomic_path

__all__ = ["Average", "LoopConfig", "fit", "one_cycle"]

Batch = dict[str, Tensor]
Loss = Callable[[nn.Module, Batch], dict[str, Tensor]]
Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer]


@dataclass(frozen=True)
class LoopConfig:
    """How long and how to train; every field is an option of `spartito train`."""

    steps: int = 5_000
    """Optimiser steps."""
    accumulate: int = 1
    """Batches per step."""
    learning_rate: float = 1.5e-3
    """At the top of the cycle."""
    warmup: int = 200
    """Steps from zero to the top."""
    final_rate: float = 1e-5
    """At the last step."""
    weight_decay: float = 1e-2
    """Of AdamW, on matrices and kernels only."""
    clip: float = 1.0
    """Largest norm of the gradient of all weights; 0 for none."""
    average: float = 0.998
    """Decay per step of the moving average of the weights."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    devices: int = 1
    """How many of them."""
    precision: str = "bf16-mixed"
    """As Lightning Fabric names it: 32-true, bf16-mixed, 16-mixed."""
    threads: int = 0
    """CPU threads; 0 leaves it to torch."""
    checkpoint_minutes: float = 4.0
    report_every: int = 50
    validate_every: int = 1_000
    channels_last: bool = True
    """On a CPU: channels behind time and keys in memory; slower for networks of few channels in bfloat16."""
    tensorboard: bool = False
    """Also write TensorBoard files (extra `tensorboard`)."""
    seed: int = 0


class Average:
    """Exponential moving average of a network's weights and batch statistics."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, *, step: int):
        decay = min(self.decay, (1 + step) / (10 + step))  # short memory at first, when everything changes
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1.0 - decay)
            else:
                self.state[name].copy_(value)


def one_cycle(step: int, config: LoopConfig) -> float:
    """Learning rate at a step: linear warm-up, then a half cosine down to `final_rate`."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.final_rate + (config.learning_rate - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def adamw(network: nn.Module, config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed."""
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def fit(
    network: nn.Module,
    *,
    loss: Loss | Sequence[Loss],
    batch_at: Callable[[int], Batch],
    config: LoopConfig,
    folder: Path,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    optimizer: Callable[[nn.Module, LoopConfig], Optimizers] = adamw,
    rate: Callable[[int, LoopConfig], float] = one_cycle,
    progress: Callable[[int, dict], None] | None = None,
    keep: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Train `network`, or go on with the run found in `folder`, and return the averaged state.

    Parameters
    ----------
    loss : gives the terms of the loss by name; their sum is minimised, all are logged. Several losses are minimised
        one after the other in each step; terms whose name begins with "_" are logged and not minimised
    batch_at : makes a batch of CPU tensors from its index
    validate : gives measures of the averaged network by name, every `validate_every` steps and at the end
    optimizer, rate : replace AdamW and the one-cycle schedule (the published recipes have their own); `optimizer`
        gives one for each loss. A group of parameters with an entry "scale" learns at that many times the rate
    progress : called with the step and the latest report
    keep : objects with `state_dict` and `load_state_dict` that a checkpoint holds, too

    Raises
    ------
    ParameterError
        The run in `folder` was made with another configuration.
    """
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise MissingExtraError("lightning", extra="train", purpose="training") from error
    if config.threads:
        torch.set_num_threads(config.threads)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(
        accelerator=config.device,
        devices=config.devices,
        precision=config.precision,
        loggers=_loggers(config, folder),
    )
    fabric.launch()
    fabric.seed_everything(config.seed, verbose=False)
    if fabric.device.type == "cpu" and config.channels_last:
        network = network.to(memory_format=torch.channels_last)
    plain = network
    losses = [loss] if callable(loss) else list(loss)
    made = optimizer(network, config)
    made = [made] if isinstance(made, torch.optim.Optimizer) else list(made)
    if len(made) != len(losses):
        raise ParameterError(f"{len(losses)} losses need as many optimisers, not {len(made)}")
    network, *optimisers = fabric.setup(network, *made)
    average = Average(plain, config.average)
    kept = {} if keep is None else dict(keep)
    step = _resume(folder, plain, optimisers, average, config, fabric.device, kept)
    world, rank = fabric.world_size, fabric.global_rank
    saved, started, sums, counted = time.monotonic(), time.monotonic(), {}, 0
    with Path(folder, "log.jsonl").open("a", encoding="utf-8") as log:

        def report(entry: dict):
            if fabric.is_global_zero:
                log.write(json.dumps(entry) + "\n")
                log.flush()
                fabric.log_dict({k: v for k, v in entry.items() if k != "step"}, step=entry["step"])
                if progress is not None:
                    progress(entry["step"], entry)

        while step < config.steps:
            network.train()
            norms = []
            first = step * config.accumulate
            drawn = [batch_at((first + part) * world + rank) for part in range(config.accumulate)]
            for objective, optimiser in zip(losses, optimisers):
                for group in optimiser.param_groups:
                    group["lr"] = rate(step, config) * group.get("scale", 1.0)
                for part, held in enumerate(drawn):
                    batch = {k: v.to(fabric.device) for k, v in held.items()}
                    with fabric.no_backward_sync(network, enabled=part < config.accumulate - 1):
                        terms = objective(network, batch)
                        minimised = [value for name, value in terms.items() if not name.startswith("_")]
                        fabric.backward(sum(minimised) / config.accumulate)
                    for name, value in terms.items():
                        name = name.removeprefix("_")
                        sums[name] = sums.get(name, 0.0) + float(value.detach())
                norm = fabric.clip_gradients(
                    network, optimiser, max_norm=config.clip or float("inf"), error_if_nonfinite=False
                )
                if torch.isfinite(norm):  # a step that would destroy the weights is left out
                    optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                norms.append(round(float(norm), 3))
            counted += config.accumulate
            step += 1
            average.update(plain, step=step)
            if step % config.report_every == 0 or step == config.steps:
                means = {name: round(value / counted, 5) for name, value in sums.items()}
                sums, counted = {}, 0
                seconds = time.monotonic() - started
                others = {f"gradient_{i}": norm for i, norm in enumerate(norms) if i > 0}
                entry = {"step": step, **means, "gradient": norms[0], **others, "seconds": round(seconds, 1)}
                report(entry)
            if validate is not None and (step % config.validate_every == 0 or step == config.steps):
                report({"step": step, **_validated(plain, average, validate)})
            if time.monotonic() - saved > 60 * config.checkpoint_minutes or step == config.steps:
                if fabric.is_global_zero:
                    _save(folder, plain, optimisers, average, config, step, kept)
                saved = time.monotonic()
    return average.state


def _validated(network: nn.Module, average: Average, validate) -> dict[str, float]:
    """Measures of the averaged weights; the trained ones are put back afterwards."""
    kept = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average.state)
    network.eval()
    try:
        with torch.no_grad():
            return {f"validation_{k}": round(float(v), 5) for k, v in validate(network).items()}
    finally:
        network.load_state_dict(kept)


def _loggers(config: LoopConfig, folder: Path) -> list:
    if not config.tensorboard:
        return []
    try:
        from lightning.fabric.loggers import TensorBoardLogger

        return [TensorBoardLogger(root_dir=folder, name="tensorboard", version="")]
    except ImportError as error:
        raise MissingExtraError("tensorboard", extra="tensorboard", purpose="logging to TensorBoard") from error


def _identity(config: LoopConfig) -> dict:
    """The part of a configuration that must not change when a run goes on."""
    changeable = {
        "device",
        "devices",
        "threads",
        "checkpoint_minutes",
        "report_every",
        "validate_every",
        "channels_last",
        "tensorboard",
    }
    return {k: v for k, v in asdict(config).items() if k not in changeable}


def _save(folder: Path, network, optimisers, average: Average, config: LoopConfig, step: int, keep: dict):
    states = [optimiser.state_dict() for optimiser in optimisers]
    state = {
        "step": step,
        "network": network.state_dict(),
        "optimizer": states[0] if len(states) == 1 else states,
        "average": average.state,
        "config": _identity(config),
        "random": torch.get_rng_state(),
        "kept": {name: value.state_dict() for name, value in keep.items()},
    }
    with atomic_path(folder / "checkpoint.pt") as path:
        torch.save(state, path)


def _resume(folder: Path, network, optimisers, average: Average, config: LoopConfig, device, keep: dict) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    if state["config"] != _identity(config):
        differing = [k for k, v in _identity(config).items() if state["config"].get(k) != v]
        raise ParameterError(
            f"{folder} holds a run with other settings ({', '.join(differing)}): give them again, or another folder"
        )
    network.load_state_dict(state["network"])
    states = state["optimizer"] if isinstance(state["optimizer"], list) else [state["optimizer"]]
    for optimiser, values in zip(optimisers, states, strict=True):
        optimiser.load_state_dict(values)
    for name, value in keep.items():
        value.load_state_dict(state["kept"][name])
    average.state = state["average"]
    torch.set_rng_state(state["random"].cpu())
    return state["step"]
