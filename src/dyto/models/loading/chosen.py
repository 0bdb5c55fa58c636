"""The model that is asked if none is named: from the environment, or from a file `dyto.toml`.

The order: the argument or flag, DYTO_MODEL, `dyto.toml` in the current folder, `dyto.toml` in the user's folder of
settings ($XDG_CONFIG_HOME/dyto, ~/.config/dyto, or %APPDATA%\\dyto), a bundled model. Options in a file count only with
the model of the same file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dyto.errors import ConfigError, unknown

FILE = "dyto.toml"
"""Name of the file."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

TEXTS = ("model", "revision", "device", "dtype", "attn_implementation", "quantization", "eye", "base_url")
COUNTS = ("tokens_per_image", "picture_side", "max_requests", "max_tokens")
"""Keys of a file: the fields of `dyto.models.loading.options.Loading`."""


@dataclass(frozen=True)
class Chosen:
    """A model and how to load it.

    Attributes:
        model: Its name.
        source: Who chose it: "DYTO_MODEL" or the path of a file.
        options: Options of `dyto.load_model`.
    """

    model: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)


def chosen_model() -> Chosen | None:
    """Return what the environment or a file chooses; None if neither does.

    Raises:
        ConfigError: A file cannot be read, or holds a wrong key or value.
    """
    if named := os.environ.get("DYTO_MODEL"):
        return Chosen(named, "DYTO_MODEL")
    for folder, own in ((Path(), False), (settings_folder(), True)):
        path = folder / FILE
        if path.is_file():
            return read_choice(path, trusted=own)
    return None


def settings_folder() -> Path:
    """Return the user's folder of settings."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming") / "dyto"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "dyto"


def read_choice(path: Path, *, trusted: bool) -> Chosen:
    """Read a file.

    Args:
        path: The file.
        trusted: Whether the user wrote it. A file beside videos may come from anybody, so it may name no other
            machine to which videos and keys would go.

    Raises:
        ConfigError: It cannot be read, or holds a wrong key or value; the message names the nearest known key.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError(f'{path} cannot be read ({err}), expected lines such as model = "qwen3-vl-2b"') from err
    for key, value in told.items():
        if key not in (*TEXTS, *COUNTS):
            raise unknown(f"key of {path}", key, (*TEXTS, *COUNTS))
        if type(value) is not (str if key in TEXTS else int):
            expected = "a text" if key in TEXTS else "a whole number"
            raise ConfigError(f"{path} says {key} = {value!r}, expected {expected}")
    if not told.get("model"):
        raise ConfigError(f'{path} names no model, expected a line such as model = "qwen3-vl-2b"')
    host = urlsplit(told.get("base_url", "")).hostname
    if "base_url" in told and not trusted and host not in LOOPBACK:
        raise ConfigError(
            f"{path} sends videos to {host}, expected this machine: put it into {settings_folder() / FILE}, or pass "
            "--base-url"
        )
    return Chosen(told.pop("model"), str(path), told)
