"""Devices and processes: the GPU if there is one, one process or those that torchrun started."""

import os
from collections.abc import Iterable

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, nn

from oodguard.training.provenance import hardware


def single_process() -> Fabric:
    """Return this process alone, on the first GPU if there is one, else on the CPU."""
    return Fabric(accelerator=_accelerator(), devices=1, precision="32-true")


def launch_processes() -> Fabric:
    """Return the processes that torchrun started, or this process alone without torchrun.

    Fabric runs in float32; `schedule.precision` selects bfloat16 in `MixedPrecisionNetwork`.
    """
    if not TorchElasticEnvironment.detect():
        return single_process()
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=_accelerator(),
        devices=local,
        num_nodes=int(os.environ["WORLD_SIZE"]) // local,
        strategy="ddp",
        precision="32-true",
    )
    threads = torch.get_num_threads()
    fabric.launch()  # shares the CPUs between the processes, whatever --threads is
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    return fabric


def describe_hardware(fabric: Fabric) -> str:
    """Return the name of the hardware, and the number of processes if there are several."""
    gpu = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else None
    several = f"{fabric.world_size} processes, each on" if fabric.world_size > 1 else None
    return " ".join(part for part in (several, f"{gpu} with" if gpu else None, hardware()) if part)


def sum_gradients(network: nn.Module) -> None:
    """Replace the gradients of each process by their sum over all processes.

    They are exchanged as one tensor, in the order of the parameters. The order in which floats are
    summed depends on their places in it. torch's DistributedDataParallel changes these places after
    the first step of a session, so with three processes a resumed run would differ by rounding.
    """
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    _sum(gradients)


def average_statistics(network: nn.Module) -> None:
    """Replace the running statistics of batch-norm by their mean over all processes.

    They differ on CPUs, where each process normalizes by its own rows.
    """
    layers = [
        each
        for each in network.modules()
        if isinstance(each, nn.modules.batchnorm._BatchNorm)
        and not isinstance(each, nn.SyncBatchNorm)
        and each.training
    ]
    found = [each for layer in layers for each in (layer.running_mean, layer.running_var)]
    statistics = [each for each in found if each is not None]
    _sum(statistics)
    for each in statistics:
        each.div_(torch.distributed.get_world_size())


def copy_from_first(tensors: Iterable[Tensor], fabric: Fabric) -> None:
    """Replace the tensors of each process by those of the first process."""
    for tensor in tensors:
        sent = tensor.to(fabric.device).contiguous()
        torch.distributed.broadcast(sent, src=0)
        if sent is not tensor:
            tensor.copy_(sent)


def _sum(tensors: list[Tensor]) -> None:
    """Sum tensors over the processes, in place and as one tensor."""
    if not tensors:
        return
    joined = torch.cat([each.flatten() for each in tensors])
    torch.distributed.all_reduce(joined)
    for each, part in zip(tensors, joined.split([each.numel() for each in tensors]), strict=True):
        each.copy_(part.view_as(each))


def synchronize_batch_norm(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network with batch-norm over the batch of all processes.

    Torch supports that on GPUs only. On CPUs each process normalizes by its own rows.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        synchronized: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return synchronized
    return network


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
