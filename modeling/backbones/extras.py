"""Optional dependencies: what is missing is named with the command that installs it."""

from importlib.util import find_spec

DISTRIBUTION = "diffusion-ner-zero"


def require(extra: str, *modules: str) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Args:
        extra: its name in ``pyproject.toml``.
        modules: top-level modules.

    Raises:
        ModuleNotFoundError: one is missing; the message says how to install the extra.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(
                f'{module} is not installed, and this needs it: pip install "{DISTRIBUTION}[{extra}]"',
                name=module,
            )
