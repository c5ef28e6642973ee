from __future__ import annotations

import sys

import pytest

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.runs import device


def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now fails
    monkeypatch.setattr(device, "_DRIVERS", ())
    monkeypatch.setattr(sys, "platform", "linux")
    assert device.resolve("auto") == device.resolve("cpu") == "cpu"


def test_what_is_asked_for_must_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingPrerequisite, match="cuda"):
        device.resolve("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.resolve("cuda:1") == "cuda:1"
    for unknown in ("gpu", "meta"):
        with pytest.raises(UsageError, match=unknown):
            device.resolve(unknown)
