"""Keys of clients."""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass
from hashlib import sha256

from dyto.errors import ConfigError

LEAST_LETTERS = 16

ANYBODY = "anybody"
"""The owner of everything where no key is needed."""


@dataclass(frozen=True)
class Keys:
    """The keys that are accepted, as hashes; with none, everybody is let in.

    Attributes:
        digests: The SHA-256 of each key.

    Example:
        >>> keys = Keys.of("a-key-of-20-letters!")
        >>> keys.owner("Bearer a-key-of-20-letters!") is None, keys.owner("Bearer another") is None
        (False, True)
    """

    digests: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, text: str) -> Keys:
        """Read keys that are separated by commas or spaces.

        Raises:
            ConfigError: There is none, or one is too short.
        """
        keys = [key for key in re.split(r"[\s,]+", text) if key]
        if not keys or min(map(len, keys)) < LEAST_LETTERS:
            raise ConfigError(
                f"found {len(keys)} keys, one of them shorter than {LEAST_LETTERS} letters, expected long random ones: "
                "make one with `openssl rand -hex 32`"
                if keys
                else "found no key, expected one or more, separated by commas: make one with `openssl rand -hex 32`"
            )
        return cls(tuple(sha256(key.encode()).digest() for key in keys))

    @classmethod
    def from_environment(cls, name: str | None) -> Keys:
        """Read the keys in an environment variable; None for no keys.

        Raises:
            ConfigError: The variable is not set, or holds no usable key.
        """
        if name is None:
            return cls()
        if name not in os.environ:
            raise ConfigError(f"the environment variable {name} is not set, expected a key in it: export {name}=...")
        return cls.of(os.environ[name])

    def __bool__(self) -> bool:
        return bool(self.digests)

    def owner(self, authorization: str | None) -> str | None:
        """Return who sends a request: the beginning of the key's hash.

        Args:
            authorization: The header `Authorization`, or None.

        Returns:
            The owner; None if there is no such key. All keys are compared, each in constant time.
        """
        if not self.digests:
            return ANYBODY
        scheme, _, key = (authorization or "").partition(" ")
        digest = sha256(key.strip().encode("utf-8", "surrogatepass")).digest()
        same = [hmac.compare_digest(digest, one) for one in self.digests]
        return digest.hex()[:16] if scheme.lower() == "bearer" and any(same) else None
