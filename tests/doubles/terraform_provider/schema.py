"""Schemas in the words of Terraform's plugin protocol 6."""

import json
from typing import Any

from tf.gen import tfplugin_pb2 as pb

from tests.doubles.terraform_provider.source import Block

# The archive does not say which values are secret; Terraform must not print these.
_SENSITIVE = {"password", "root_password", "private_key", "secret_data", "access_token"}
_NESTING = {
    "single": pb.Schema.NestedBlock.SINGLE,
    "list": pb.Schema.NestedBlock.LIST,
    "set": pb.Schema.NestedBlock.SET,
}


def provider_schema(schemas: dict[str, Any]) -> pb.GetProviderSchema.Response:
    """The answer to GetProviderSchema: the provider, all its resources and data sources."""
    response = pb.GetProviderSchema.Response(
        provider=_schema(schemas["provider"]),
        server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
    )
    for name, block in schemas["resource"].items():
        response.resource_schemas[name].CopyFrom(_schema(block))
    for name, block in schemas["data"].items():
        response.data_source_schemas[name].CopyFrom(_schema(block))
    return response


def _schema(block: Block) -> pb.Schema:
    return pb.Schema(version=0, block=_block(block))


def _block(block: Block) -> pb.Schema.Block:
    attributes = [
        pb.Schema.Attribute(
            name=name,
            type=json.dumps(each["type"]).encode(),
            required=each.get("required", False),
            optional=each.get("optional", False),
            computed=each.get("computed", False),
            sensitive=name in _SENSITIVE,
        )
        for name, each in block["attributes"].items()
    ]
    nested = [
        pb.Schema.NestedBlock(
            type_name=name,
            block=_block(each["block"]),
            nesting=_NESTING[each["nesting"]],
            min_items=each["min"],
            max_items=each["max"],
        )
        for name, each in block["blocks"].items()
    ]
    return pb.Schema.Block(attributes=attributes, block_types=nested)
