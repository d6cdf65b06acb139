"""How a service is diagnosed: whether a model is asked beside the rules, and where evidence may be sent for it."""

from enum import StrEnum

from pitcrew.core.resource.base import Model


class DiagnosisMode(StrEnum):
    """When a model is asked beside the rules, the strictest first."""

    RULES = "Rules"
    ASSIST = "Assist"
    CONSULT = "Consult"


class Egress(StrEnum):
    """Where evidence may be sent, the strictest first."""

    NONE = "None"
    LOCAL = "Local"
    ANY = "Any"


class Diagnosing(Model):
    """How incidents of the service are diagnosed, where PitCrew has a model to ask."""

    mode: DiagnosisMode = DiagnosisMode.CONSULT
    """Rules asks no model, Assist asks one where the rules are unsure, Consult asks one about every incident; default
    Consult."""
    egress: Egress = Egress.ANY
    """Where evidence may be sent: None nowhere, Local to a model on this machine only, Any to the one that PitCrew is
    set up with; default Any."""


class DiagnosingCap(Model):
    """The most that services may declare under `diagnosis`; what is absent says nothing."""

    mode: DiagnosisMode | None = None
    """No service asks a model more than this: Rules, Assist, Consult; default: says nothing."""
    egress: Egress | None = None
    """No evidence is sent farther than this: None, Local, Any; default: says nothing."""
