"""Several processes and compiled layers: what accelerate leaves to the model's owner."""

import os
from typing import Any

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from torch.distributed.fsdp import MixedPrecisionPolicy

from ..custom_generate.network import encoder_of


def shard_on_cpu_as_launched(accelerator: Accelerator) -> bool:
    """Shard on CPU processes too if the launch asks for FSDP2, and return whether.

    accelerate reads an FSDP configuration on accelerators alone; on the CPU it would train replicas silently.
    """
    state = accelerator.state
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if not asked or state.distributed_type != DistributedType.MULTI_CPU:
        return False
    plugin = FullyShardedDataParallelPlugin()
    if state.mixed_precision != "no":
        plugin.set_mixed_precision(state.mixed_precision)
    state.fsdp_plugin = plugin
    # Every state that accelerate makes later copies this one, as for the types that it knows.
    for shared in (state, PartialState()):
        shared.distributed_type = DistributedType.FSDP
    return True


def sum_in_fp32(accelerator: Accelerator) -> None:
    """Let FSDP2 add up gradients in fp32 and leave the loss as it is; accelerate casts both to bf16."""
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    policy = getattr(plugin, "mixed_precision_policy", None)
    if plugin is None or not isinstance(policy, MixedPrecisionPolicy):
        return
    plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=policy.param_dtype, cast_forward_inputs=policy.cast_forward_inputs
    )


def compile_layers(model: Any) -> None:
    """Compile each layer of the network with torch.compile, for batches of any shape.

    Layers are alike, so one compilation serves all; the rest of a step (masks, packing, the output layer over
    the masked slots) depends on the data and stays as it is.

    Raises:
        ValueError: the network has no list of layers that is known.
    """
    encoder = encoder_of(model)
    layers = getattr(encoder, "layers", None) or getattr(getattr(encoder, "encoder", None), "layer", None)
    if layers is None:
        raise ValueError(f"{type(encoder).__name__} has no layers to compile; leave compile_layers out")
    for layer in layers:
        layer.compile(dynamic=True)
