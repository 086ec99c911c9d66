"""What every manifest has, checked with pydantic: a kind, and metadata with names that are texts.

Here and not in `wire`: reading manifests is no hot path, where loading pydantic would be half of
what `ports` takes.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from k3s_rootless.json_fields import Wrong

_WORDS = {
    "missing": "it is missing",
    "model_type": "an object is wanted",
    "string_type": "a text is wanted",
}


class Metadata(BaseModel):
    """The names of an object; what else stands there is nobody's business here."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    name: str | None = None
    namespace: str | None = None


class Envelope(BaseModel):
    """The outside of an object; its inside is read by kind."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    kind: str
    metadata: Metadata | None = None


def envelope(document: Any) -> Envelope:  # noqa: ANN401 (other people's YAML)
    """Read the outside of one object.

    Raises Wrong for the first place that is not as it should be.
    """
    try:
        return Envelope.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise Wrong(_WORDS.get(first["type"], first["msg"].lower()), place) from None
