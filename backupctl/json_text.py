"""JSON of which nobody knows who wrote it."""

import json
from typing import Any


def loads(text: str | bytes) -> Any:  # noqa: ANN401 - json's
    """As `json.loads`, which fails in two ways.

    :raises ValueError: if it is no JSON, or nested deeper than the interpreter can follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
