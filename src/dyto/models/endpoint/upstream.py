"""A server in front of which ours stands: which of its models is asked, and how it is reached."""

from __future__ import annotations

from typing import Any

from dyto.errors import ConfigError, EndpointError
from dyto.models.endpoint.client import open_client
from dyto.models.endpoint.sending import short
from dyto.models.endpoint.service import PREFIX, Service

LOOK_SECONDS = 20.0


def upstream_options(address: str, *, key_env: str | None = None, model: str | None = None) -> dict[str, Any]:
    """Return the options of `dyto.load_model` for a model behind a server.

    Args:
        address: Address of its OpenAI-compatible interface, such as http://127.0.0.1:8000/v1.
        key_env: Environment variable that holds the key; None for a server that asks for none.
        model: Name of the model there; None for the only one.

    Raises:
        ConfigError: The address or the variable is wrong, or the server has several models.
        EndpointError: The server cannot be asked for its models.
        MissingExtraError: The official client is not installed.
    """
    service = Service(address, key_env=key_env)
    options: dict[str, Any] = {"base_url": address, "key_env": key_env}
    return {"model": f"{PREFIX}{model or _only_model(service)}", **options}


def _only_model(service: Service) -> str:
    client = open_client(service.key(), service.address, LOOK_SECONDS, "A service in front of another one", "endpoint")
    try:
        found = client.get("/models", cast_to=object)
    except Exception as err:
        raise EndpointError(
            f"{service.address} does not tell its models ({short(err)}): check --upstream and --upstream-key-env, or "
            "name the model with --upstream-model"
        ) from err
    finally:
        client.close()
    data = found.get("data") if isinstance(found, dict) else None
    names = [one["id"] for one in data or () if isinstance(one, dict) and isinstance(one.get("id"), str)]
    if len(names) != 1:
        said = f"{len(names)} models ({', '.join(names[:8])})" if names else "no model"
        raise ConfigError(f"found {said} at {service.address}, expected one: name it with --upstream-model")
    return names[0]
