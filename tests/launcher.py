"""A launcher for tests: forked processes that find each other as those of `accelerate launch` do, but at once."""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from torch.distributed import TCPStore

from pipeline.run.processes import processes


@dataclass(frozen=True)
class Left:
    """How a process ended: exit code (minus the signal's number where one killed it; -9 when it had to be ended)."""

    code: int
    said: str


@dataclass(frozen=True)
class Begun:
    """A process at work."""

    process: multiprocessing.Process
    said: Path
    store: TCPStore
    """Where processes find each other: there as long as this is."""


def in_shards(work: Callable[[], object], folder: Path, codes: Sequence[int] = (0, 0)) -> list[Left]:
    """Two processes as `accelerate launch` starts them with fsdp2.yaml, and the codes they must end with."""

    def sharded() -> None:
        os.environ.update(ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
        work()

    left = launched(sharded, folder)
    assert [one.code for one in left] == list(codes), left
    return left


def launched(work: Callable[[], object], folder: Path, world: int = 2, seconds: float = 180) -> list[Left]:
    """Run `work` in each of `world` processes; what is still there after `seconds` is killed."""
    return ended(begun(work, folder, world), seconds)


def begun(work: Callable[[], object], folder: Path, world: int = 1) -> list[Begun]:
    """`world` processes that run `work`, which may return an exit code; one alone is no group."""
    store, context = TCPStore("127.0.0.1", 0, is_master=True), multiprocessing.get_context("fork")
    started = []
    for rank in range(world):
        said = folder / f"rank-{rank}.txt"
        process = context.Process(target=_run, args=(work, said, rank, world, store.port), daemon=True)
        process.start()
        started.append(Begun(process, said, store))
    return started


def ended(started: list[Begun], seconds: float = 180) -> list[Left]:
    """How they ended; what is still there after `seconds` is killed."""
    end = time.monotonic() + seconds
    for process in (one.process for one in started):
        process.join(max(0.0, end - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()
    return [Left(one.process.exitcode, one.said.read_text(encoding="utf-8")) for one in started]


def _run(work: Callable[[], object], said: Path, rank: int, world: int, port: int) -> None:
    sys.stdout = sys.stderr = open(said, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    if world > 1:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()})
        os.environ.update(TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RESTART_COUNT="0")
        os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    torch.set_num_threads(1)  # the threads of the process that forked are not there
    processes.cache_clear()
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        code = work()
    except Exception as error:
        traceback.print_exc()
        code = getattr(error, "exit_code", 1)
    sys.stdout.flush()
    os._exit(code or 0)
