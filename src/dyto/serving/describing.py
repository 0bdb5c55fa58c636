"""The OpenAPI page, with what FastAPI does not see: keys, which the gate checks, and chats, which their route reads."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from dyto.serving.gate import OPEN
from dyto.serving.messages import ChatRequest

PLACE = "#/components/schemas/{model}"
CHAT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": PLACE.format(model=ChatRequest.__name__)}}},
    }
}
"""How a route says that it reads a chat."""


class DescribedAPI(FastAPI):
    """FastAPI with a whole description."""

    def openapi(self) -> dict[str, Any]:
        """Return the description."""
        fresh = self.openapi_schema is None
        told: dict[str, Any] = super().openapi()
        if fresh:
            parts, chat = told["components"], ChatRequest.model_json_schema(ref_template=PLACE)
            parts["schemas"] |= {**chat.pop("$defs"), ChatRequest.__name__: chat}
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, operations in told["paths"].items():
                for operation in operations.values() if path not in OPEN else ():
                    operation["security"] = [{"key": []}]
        return told
