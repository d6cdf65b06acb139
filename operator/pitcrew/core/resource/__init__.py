"""The resource `HealthyService`: what a person declares, as frozen values.

The shape is DESIGN section 4. A field enters this file together with the code that reads it; until then it is an
unknown-field error. Names on the wire are camelCase and, for probes, those of Kubernetes with its defaults.
"""

from pitcrew.core.resource.base import (
    Argument,
    DnsName,
    Duration,
    EnvName,
    FilePath,
    Ladder,
    Level,
    Model,
    parse_duration,
    reaches,
    render_duration,
)
from pitcrew.core.resource.guardrail import POLICY_KIND, Guardrail, PolicyMetadata, RemediationPolicy, Selector
from pitcrew.core.resource.policy import Approvers, Budget, Mode, Policy, Rule, RuleEffect, UserName
from pitcrew.core.resource.probe import DockerHealth, ExecProbe, Header, HttpGet, Probe
from pitcrew.core.resource.remediation import (
    Actions,
    ConnectNetworkAction,
    Remediation,
    RemoveFileAction,
    RestartAction,
    StartAction,
    UnpauseAction,
)
from pitcrew.core.resource.service import (
    API_VERSION,
    KIND,
    Desired,
    DesiredNetwork,
    HealthyService,
    Metadata,
    NetworkName,
    ServiceKey,
    Spec,
)
from pitcrew.core.resource.target import DockerTarget, ProcessTarget, Target, TargetKind

__all__ = [
    "API_VERSION",
    "KIND",
    "POLICY_KIND",
    "Actions",
    "Approvers",
    "Argument",
    "Budget",
    "ConnectNetworkAction",
    "Desired",
    "DesiredNetwork",
    "DnsName",
    "DockerHealth",
    "DockerTarget",
    "Duration",
    "EnvName",
    "ExecProbe",
    "FilePath",
    "Guardrail",
    "Header",
    "HealthyService",
    "HttpGet",
    "Ladder",
    "Level",
    "Metadata",
    "Mode",
    "Model",
    "NetworkName",
    "Policy",
    "PolicyMetadata",
    "Probe",
    "ProcessTarget",
    "Remediation",
    "RemediationPolicy",
    "RemoveFileAction",
    "RestartAction",
    "Rule",
    "RuleEffect",
    "Selector",
    "ServiceKey",
    "Spec",
    "StartAction",
    "Suspend",
    "Target",
    "TargetKind",
    "UnpauseAction",
    "UserName",
    "parse_duration",
    "reaches",
    "render_duration",
]
