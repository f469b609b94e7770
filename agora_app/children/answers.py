"""What commands answer in files: typed, and refused where it is not what was agreed; and what stands in the way, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Something that stands in the way, or might.

    Attributes:
        what: what is wrong.
        mend: what the user can do about it.
        blocking: it must be mended before one can go on.
    """

    what: str
    mend: str = ""
    blocking: bool = True


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Kind = TypeVar("Kind", bound=Answer)


def read_answer(path: Path, kind: type[Kind]) -> Kind:
    """Read the file that a command has written; numbers that are none count as not known.

    Raises:
        InputError: it is missing or not what was agreed.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _name: None)
        return kind.model_validate(values)
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        reason = f"{error.errors()[0]['msg']}" if isinstance(error, ValidationError) else str(error)
        raise InputError(f"the answer cannot be read: {reason}", "try again; if it stays, look into the log") from error
