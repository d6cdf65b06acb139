"""What is told of an incident: the postmortem that stays, and the chain of reasons behind each decision.

Both are projections of the incident and its journal records. Text that came from outside is cleaned here once more and
escaped for the place where it is shown (S8); nothing here decides anything.
"""

from pitcrew.core.report.asked import asked
from pitcrew.core.report.postmortem import postmortem
from pitcrew.core.report.timeline import (
    Moment,
    Spans,
    advice_line,
    evidence_line,
    grounds,
    one_line,
    proposed_line,
    rendered_span,
    spans,
    timeline,
)
from pitcrew.core.report.why import Section, section_data, section_text, why

__all__ = [
    "Moment",
    "Section",
    "Spans",
    "advice_line",
    "asked",
    "evidence_line",
    "grounds",
    "one_line",
    "postmortem",
    "proposed_line",
    "rendered_span",
    "section_data",
    "section_text",
    "spans",
    "timeline",
    "why",
]
