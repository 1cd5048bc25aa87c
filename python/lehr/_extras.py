"""Which extra brings a missing package."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_EXTRA = {
    "torch": "torch",
    "accelerate": "accelerate",
    "matplotlib": "plot",
    "fsspec": "cli",
    "click": "cli",
    "rich": "cli",
    "pyarrow": "arrow",
    "sklearn": "all",
}


def need(module: str, what: str) -> "ModuleType":
    """Import `module` for `what`, or say which extra of lehr installs it.

    Raises:
        ImportError: The package is not installed.
    """
    from importlib import import_module

    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        message = f"{what} needs {package}: pip install 'lehr[{_EXTRA[package]}]'"
        raise ImportError(message, name=package) from error
