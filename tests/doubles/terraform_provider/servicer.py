"""The provider itself: Terraform's plugin protocol 6, on the stubs of the package `tf`."""

# ruff: noqa: N802 - the methods' names are the protocol's

import json
from typing import Any

import grpc
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from tests.doubles.terraform_provider import rules, values
from tests.doubles.terraform_provider.schema import provider_schema
from tests.doubles.terraform_provider.source import Block


def _error(summary: str, detail: str, path: rules.Path | None = None) -> pb.Diagnostic:
    step = pb.AttributePath.Step
    steps = [
        step(attribute_name=each) if isinstance(each, str) else step(element_key_int=each)
        for each in path or []
    ]
    return pb.Diagnostic(
        severity=pb.Diagnostic.ERROR,
        summary=summary,
        detail=detail,
        attribute=pb.AttributePath(steps=steps) if steps else None,
    )


class GoogleProvider(rpc.ProviderServicer):
    """Serves every resource and data source of google 6.50 from its schema."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas
        self._project: str | None = None

    def GetProviderSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_schema(self._schemas)

    def GetMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        capabilities = pb.ServerCapabilities(get_provider_schema_optional=True)
        return pb.GetMetadata.Response(server_capabilities=capabilities)

    def ValidateProviderConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(self, request: Any, context: grpc.ServicerContext) -> Any:
        config = values.decode(request.config) or {}
        project = config.get("project")
        self._project = project if isinstance(project, str) and project else None
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        block = self._schemas["resource"][request.type_name]
        return pb.ValidateResourceConfig.Response(diagnostics=_check(request, block))

    def ValidateDataResourceConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        block = self._schemas["data"][request.type_name]
        return pb.ValidateDataResourceConfig.Response(diagnostics=_check(request, block))

    def UpgradeResourceState(self, request: Any, context: grpc.ServicerContext) -> Any:
        state = json.loads(request.raw_state.json)
        return pb.UpgradeResourceState.Response(upgraded_state=values.encode(state))

    def ReadResource(self, request: Any, context: grpc.ServicerContext) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state, private=request.private)

    def PlanResourceChange(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = request.type_name
        block = self._schemas["resource"][kind]
        prior = values.decode(request.prior_state)
        proposed = values.decode(request.proposed_new_state)
        if proposed is None or proposed == prior:
            return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state)
        if diagnostics := self._missing_project(block, proposed):
            return pb.PlanResourceChange.Response(diagnostics=diagnostics)
        planned = values.mark_labels(block, proposed)
        replaced = [
            name
            for name in (prior or {})
            if planned[name] != prior[name] and rules.must_replace(kind, name)
        ]
        if replaced:  # the new one's computed values are not the old one's
            config = values.decode(request.config)
            planned = values.mark_labels(block, config)
        planned = values.mark_computed(block, planned)
        return pb.PlanResourceChange.Response(
            planned_state=values.encode(planned),
            requires_replace=[
                pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)])
                for name in replaced
            ],
        )

    def ApplyResourceChange(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = request.type_name
        planned = values.decode(request.planned_state)
        if planned is None:
            reason = rules.forbids_deletion(kind, values.decode(request.prior_state))
            if reason is not None:
                return pb.ApplyResourceChange.Response(
                    new_state=request.prior_state, diagnostics=[_error("Cannot delete", reason)]
                )
            return pb.ApplyResourceChange.Response(new_state=request.planned_state)
        block = self._schemas["resource"][kind]
        created = values.fill(kind, block, planned, self._project or "")
        return pb.ApplyResourceChange.Response(new_state=values.encode(created))

    def ReadDataSource(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = request.type_name
        block = self._schemas["data"][kind]
        wanted = values.mark_computed(block, values.decode(request.config))
        read = values.fill(kind, block, wanted, self._project or "")
        return pb.ReadDataSource.Response(state=values.encode(read))

    def ImportResourceState(self, request: Any, context: grpc.ServicerContext) -> Any:
        refusal = _error("Not supported", "this stand-in has no cloud to import from")
        return pb.ImportResourceState.Response(diagnostics=[refusal])

    def StopProvider(self, request: Any, context: grpc.ServicerContext) -> Any:
        return pb.StopProvider.Response()

    def _missing_project(self, block: Block, proposed: dict[str, Any]) -> list[pb.Diagnostic]:
        needs = "project" in block["attributes"] and proposed.get("project") is None
        if needs and self._project is None:
            return [_error("project: required field is not set", "set it on the provider")]
        return []


def _check(request: Any, block: Block) -> list[pb.Diagnostic]:
    config = values.decode(request.config)
    return [
        _error("Invalid value", message, path)
        for path, message in rules.problems(request.type_name, block, config)
    ]
