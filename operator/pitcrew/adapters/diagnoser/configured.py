"""The model that settings and environment name."""

import os
import time
from typing import TYPE_CHECKING

from pitcrew.settings import Settings

if TYPE_CHECKING:
    from pitcrew.adapters.diagnoser.openai import OpenAIConsultant


def configured(settings: Settings) -> "OpenAIConsultant | None":
    """The model that is configured, also where its `fault` says that it cannot be asked; None where there is none."""
    if not settings.model:
        return None
    from pitcrew.adapters.diagnoser.openai import OpenAIConsultant

    return OpenAIConsultant(
        model=settings.model,
        api_key=os.environ.get("OPENAI_API_KEY", ""),
        base_url=os.environ.get("OPENAI_BASE_URL", ""),
        deadline_s=settings.model_deadline_s,
        monotonic=time.monotonic,
    )
