"""The one tree of errors, sorted by what the loop does about each.

    PitCrewError
    +-- InvalidInput          a person must mend what they wrote; names place, fact and remedy
    +-- Unavailable           our side could not look or reach: health is Unknown, nothing acts, try again later
    |   +-- EngineUnavailable the engine does not answer (away, refused, too slow)
    |   +-- EngineForbidden   the engine is there, and this user may not talk to it
    |   +-- ModelUnreachable  no request reached a model, so that no tokens were spent
    +-- TargetAbsent          the engine answered: the declared target does not exist
    +-- TargetAmbiguous       a selector resolved to more targets than expected: refused (S11)
    +-- Refused               a guard said no (permit, precondition, stop, ledger): nothing was done
    +-- EffectFailed          the engine was asked to act and answered that it did not
    +-- OutcomeUnknown        the engine was asked to act and the answer was lost: look before anything else
    +-- JournalError
        +-- JournalUnwritable no record can be kept: no new effect (S9)
        +-- JournalDamaged    the chain does not hold: no effect until a person seals it

A denied proposal, a failing probe and an escalation are values, not errors.
"""


class PitCrewError(Exception):
    """Root of every error that PitCrew raises on purpose."""


class InvalidInput(PitCrewError):
    """Something a person wrote cannot be used; the text names place, fact and remedy."""


class Unavailable(PitCrewError):
    """Our side could not carry something out; never a statement about the health of a service (S5)."""


class EngineUnavailable(Unavailable):
    """The engine does not answer."""


class EngineForbidden(Unavailable):
    """The engine is there, and this user may not talk to it."""


class ModelUnreachable(Unavailable):
    """No request reached the model's endpoint, so that no tokens were spent."""


class TargetAbsent(PitCrewError):
    """The engine answered that the declared target does not exist."""


class TargetAmbiguous(PitCrewError):
    """A selector resolved to more than one target (S11)."""


class Refused(PitCrewError):
    """A guard refused before anything was touched."""


class EffectFailed(PitCrewError):
    """The target was asked to change and answered that it did not."""


class OutcomeUnknown(PitCrewError):
    """The target was asked to change and the answer was lost; the target must be looked at."""


class JournalError(PitCrewError):
    """The journal cannot serve."""


class JournalUnwritable(JournalError):
    """No record can be kept, so nothing may act (S9)."""


class JournalDamaged(JournalError):
    """The chain does not hold; effects stop until a person acknowledges it with `pitcrew audit seal`."""
