"""The fields that every manifest has: a kind, and metadata with names; checked with pydantic.

`wire` does not use pydantic, because it is on the hot path: loading pydantic takes half as long as
`ports`. Manifests are not on the hot path.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from k3s_rootless.json_fields import InvalidField

_REASONS = {
    "missing": "required field is missing",
    "model_type": "must be an object",
    "string_type": "must be a string",
}


class Metadata(BaseModel):
    """The names of an object; other metadata is ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    name: str | None = None
    namespace: str | None = None


class Envelope(BaseModel):
    """The outer fields of an object; the inner fields are read by kind."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    kind: str
    metadata: Metadata | None = None


def envelope(document: Any) -> Envelope:  # noqa: ANN401 (parsed YAML)
    """Read the outer fields of one object.

    Raises InvalidField for the first field that is missing or has another type.
    """
    try:
        return Envelope.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InvalidField(_REASONS.get(first["type"], first["msg"].lower()), place) from None
