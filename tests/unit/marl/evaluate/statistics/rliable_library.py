"""rliable's library, on the one part of `arch` it needs.

rliable 1.2.0 asks for arch < 8, whose top module fails to import beside pandas 3 (a decorator of
its time-series models). Its bootstrap does not touch those: the package is entered without running
`arch/__init__.py`.
"""

import importlib.util
import sys
import types

if "arch" not in sys.modules:
    _package = types.ModuleType("arch")
    _package.__path__ = list(importlib.util.find_spec("arch").submodule_search_locations)
    sys.modules["arch"] = _package

from rliable import library

__all__ = ["library"]
