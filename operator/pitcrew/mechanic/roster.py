"""What a Mechanic serves: the services of its own manifests that name it, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pitcrew.core.errors import Refused
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.core.untrusted import clean
from pitcrew.ports import Declared, Loaded

_SHOWN_BYTES_MAX = 100
_NAMED_MAX = 20


@dataclass(kw_only=True, slots=True)
class Roster:
    """The services of the Mechanic `id`, as its manifests have them now."""

    id: str
    declared: Mapping[ServiceKey, Declared] = field(default_factory=dict)
    elsewhere: Mapping[ServiceKey, str] = field(default_factory=dict)
    problems: Sequence[str] = ()

    def take(self, loaded: Loaded) -> None:
        """From now on these are declared."""
        self.declared = {key: one for key, one in loaded.services.items() if self._mine(one)}
        self.elsewhere = {
            key: one.service.spec.target.mechanic for key, one in loaded.services.items() if not self._mine(one)
        }
        self.problems = [str(problem) for problem in loaded.problems]

    def _mine(self, declared: Declared) -> bool:
        return declared.service.spec.target.mechanic == self.id

    def service(self, name: str) -> HealthyService:
        """A service by NAMESPACE/NAME, or by NAME in the namespace default.

        Raises:
            Refused: this Mechanic does not serve it; says what it serves.
        """
        key = ServiceKey(name if "/" in name else f"default/{name}")
        if key in self.declared:
            return self.declared[key].service
        shown = clean(repr(name), _SHOWN_BYTES_MAX)
        if key in self.elsewhere:
            raise Refused(f"{shown} is served by the Mechanic {self.elsewhere[key]}, not by {self.id}; ask there")
        raise Refused(f"{shown} is not declared in the manifests of this Mechanic; it serves {self._named()}")

    def others(self, service: HealthyService) -> Sequence[HealthyService]:
        """Every other service whose target is of the same kind."""
        kind = service.spec.target.kind
        return [one for one in self.of(kind) if one.key != service.key]

    def of(self, kind: TargetKind) -> Sequence[HealthyService]:
        """Every service whose target is of this kind."""
        return [one.service for one in self.declared.values() if one.service.spec.target.kind is kind]

    def _named(self) -> str:
        names = sorted(self.declared)
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        return (", ".join(names[:_NAMED_MAX]) or "nothing") + more
