"""Run a function inside a network's own forward, where the hooks of its wrappers fire.

DistributedDataParallel and FSDP2 gather weights and reduce gradients around ``forward``, and mixed precision
wraps it. The diffusion loss and the denoising loop call the network's parts (its encoder, its output layer),
which alone would bypass all that. So the network's forward learns one more call, ``model(inside=function)``,
which returns ``function(network)``. Every other call, the names of the weights and what is saved stay as
they are.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any, TypeVar

T = TypeVar("T")


def open_forward(network: Any) -> None:
    """Let ``network(inside=function)`` return ``function(network)``; opening it twice changes nothing."""
    if hasattr(network, "_runs_inside"):
        return
    plain = network.forward

    # A bound method, as accelerate expects it when it wraps the forward in autocast.
    def forward(self: Any, *args: Any, inside: Callable[[Any], Any] | None = None, **kwargs: Any) -> Any:
        return plain(*args, **kwargs) if inside is None else inside(self)

    network.forward = MethodType(forward, network)
    network._runs_inside = True


def run_inside(model: Any, function: Callable[[Any], T]) -> T:
    """Return ``function(network)``, run inside the forward of a network or of its wrapper.

    Args:
        model: what ``open_forward`` was called on, or DDP, FSDP2 or autocast around it.
        function: receives the network without its wrapper; what it returns must hold its tensors in
            tuples, lists or dictionaries, or the wrapper does not see them.
    """
    return model(inside=function)
