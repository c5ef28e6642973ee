"""Where the shipped weights lie: `<suite>/base/` and `<suite>/<model>/adapter.safetensors`."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent


def base_folder(suite: str) -> Path:
    """Folder of the base model shipped for a suite; it may not exist."""
    return SHIPPED / suite / "base"


def model_folder(suite: str, model: str) -> Path:
    """Folder of the adapter shipped for a suite; it may not exist."""
    return SHIPPED / suite / model
