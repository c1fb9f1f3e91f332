"""How many processes there are and which one this is; nothing else asks.

One program runs on a laptop and under `accelerate launch` on many GPUs. `processes()` is accelerate's own object, made
once, after checking that the processes the launcher started really found each other. From then on a process dies with
its launcher, and an exchange between processes fails when one of them does not come within PATIENCE. Work of unequal
length goes before a `wait_for_all()`, which waits as long as it takes.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.run.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from torch import Tensor
    from torch.distributed import ProcessGroup, Store

PATIENCE = 60.0
"""Seconds an exchange between processes may take: the step of a training that hangs ends after so many."""
ROLL_CALL = 5.0
"""Seconds within which the processes that see an exchange fail see it."""
CPUINFO = Path("/proc/cpuinfo")
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of <sys/prctl.h>."""

Item = TypeVar("Item")


def rank() -> int:
    """Number of this process, without waking torch."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes the launcher says there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@lru_cache(maxsize=1)
def processes() -> "Accelerator":
    """The process group, device and precision: bf16 where a GPU has it, unless the launch file says otherwise."""
    import torch
    from accelerate import Accelerator, DistributedType, PartialState

    if world() > 1:
        die_with_parent()
    precision, gpu = _precision(), torch.cuda.is_available()
    shards = _shards(precision)
    accelerator = Accelerator(mixed_precision=precision, cpu=not gpu, fsdp_plugin=shards)
    if accelerator.num_processes != world():
        raise InputError(
            f"the launcher started {world()} processes but {accelerator.num_processes} found each other: on CPU use "
            'LAUNCH="accelerate launch --config_file stages/launch/cpu2.yaml"'
        )
    if world() > 1:
        _limit_exchanges(PATIENCE)
    if shards and world() > 1 and not gpu:  # Accelerate divides a model among GPUs alone, torch wherever it is
        PartialState().distributed_type = accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = shards
    return accelerator


def wait_for_all() -> None:
    """Go on when every process has come here, however long it takes; fails when one of them is dead."""
    if world() > 1:
        import torch

        torch.distributed.barrier(group=_waiting_room())


def name_missing(place: str) -> str:
    """`rank 1 did not come to step 12`, or "" where all did and something else is wrong.

    For every process whose exchange failed at `place`: each signs a list that outlives the failed connections.
    """
    if world() == 1:
        return ""
    room = store()
    names = [f"{place}/{number}" for number in range(world())]
    room.set(names[rank()], "here")
    time.sleep(ROLL_CALL)
    missing = [str(number) for number, name in enumerate(names) if not room.check([name])]
    ranks = f"rank{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return f"{ranks} did not come to {place}: dead, or hung for {PATIENCE:g} s" if missing else ""


def main_first(work: Callable[[], Item]) -> Item:
    """Run `work` on the first process, then on the others: for what the first one leaves behind on disk."""
    if rank() == 0:
        done = work()
        wait_for_all()
        return done
    wait_for_all()
    return work()


def total(numbers: dict[str, float]) -> dict[str, float]:
    """Numbers counted by each process, added up over all of them."""
    parts = gathered([numbers])
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def summed(numbers: "Tensor") -> "Tensor":
    """A tensor added up over all processes, element by element, on this process's device."""
    return processes().reduce(numbers.to(processes().device), "sum")


def gathered(items: Sequence[Item]) -> list[Item]:
    """The items of all processes, those of the first one first."""
    if world() == 1:
        return list(items)
    from accelerate.utils import gather_object

    wait_for_all()
    return gather_object(list(items))


def store() -> "Store":
    """Where processes find each other; every process can count there, and leave word."""
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()


@lru_cache(maxsize=1)
def _waiting_room() -> "ProcessGroup":
    """A group with connections of its own, on which waiting has no limit. A dead process still breaks them."""
    import torch

    processes()
    return torch.distributed.new_group(backend="gloo", timeout=timedelta(days=100))


def _limit_exchanges(seconds: float) -> None:
    """Only now: while they start, processes may wait longer for each other (imports from a slow disk)."""
    from torch.distributed.distributed_c10d import _set_pg_timeout

    _set_pg_timeout(timedelta(seconds=seconds))


def die_with_parent() -> None:
    """Ask the system (Linux) to kill this process when its parent dies: orphans would go on writing.

    Those of a launcher that died before this line find nobody to meet and end by themselves.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    parent = os.getppid()
    if prctl is None:
        return
    prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _precision() -> str:
    """What the launch file asks for, where the device computes in it; unasked, bf16 on a GPU that has it."""
    import torch

    gpu = torch.cuda.is_available()
    native = _native_precisions()
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "bf16" if gpu and "bf16" in native else "no")
    if asked in ("fp16", "bf16") and asked not in native:
        from pipeline.run.progress import say  # which asks here who is the first

        say(f"! this {'GPU' if gpu else 'CPU'} does not compute in {asked}, which was asked for: going on in fp32")
        return "no"
    return asked


def _shards(precision: str) -> "FullyShardedDataParallelPlugin | None":
    """How a model is divided among the processes, where the launch file asks for it; gradients are added in fp32."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false") != "true":
        return None
    if os.environ.get("FSDP_VERSION") != "2":
        raise InputError("FSDP 1 is not supported: set fsdp_version: 2, or launch with stages/launch/fsdp2.yaml")
    import torch
    from accelerate import FullyShardedDataParallelPlugin
    from torch.distributed.fsdp import MixedPrecisionPolicy

    compute = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="TRANSFORMER_BASED_WRAP",
        mixed_precision_policy=MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32),
        activation_checkpointing=False,  # gradient_checkpointing is a setting of the training
        cpu_ram_efficient_loading=False,  # every process has the whole objective, and loads it
    )


def _native_precisions() -> set[str]:
    """Half precisions the device has: a CPU without bf16 imitates it seven times slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return {"fp16", "bf16"} if torch.cuda.is_bf16_supported(including_emulation=False) else {"fp16"}
    flags = CPUINFO.read_text().split() if CPUINFO.exists() else []
    return {"bf16"} if {"avx512_bf16", "amx_bf16"} & set(flags) else set()


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library can be asked to (glibc).

    Batches have many shapes, and glibc keeps the freed blocks of each: a training on CPU grows by megabytes a step.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
