"""Import of torchvision's models without PyTorch's compiler, which takes ten times as long to import.

torchvision calls one function of the compiler, `is_compile_supported`, and only in `ops.roi_align`, which no
classifier uses. During the import a stub replaces it, which imports the compiler when it is called.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_COMPILER, _ASKED = "torch._dynamo", "torch._dynamo.utils"


def load_torchvision() -> Any:
    """Return `torchvision.models`, imported on the first call."""
    if not {"torchvision", _COMPILER} & sys.modules.keys():
        with contextlib.suppress(ImportError), _compiler_put_off():
            importlib.import_module("torchvision.models")
    from torchvision import models

    return models


@contextlib.contextmanager
def _compiler_put_off() -> Iterator[None]:
    package, asked = ModuleType(_COMPILER), ModuleType(_ASKED)
    asked.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    package.__path__ = []
    sys.modules |= {_COMPILER: package, _ASKED: asked}
    try:
        yield
    finally:
        del sys.modules[_COMPILER], sys.modules[_ASKED]


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)
