"""The one IO manager: an asset is a folder, published by rename and recorded in provenance.json.

What is inside the folder belongs to the asset; where folders lie, to `assets.store`.
https://docs.dagster.io/guides/build/io-managers
"""

from pathlib import Path
from typing import Any

import dagster as dg

from assets.provenance import PROVENANCE, Provenance
from assets.store import Store
from marl.files import replace, write_json


class FolderIOManager(dg.ConfigurableIOManager):
    """Publishes the staging folder an asset returns; hands downstream the published folder.

    Attributes:
        store: the data folder.
        upstream: asset → its direct inputs, to record what a result was made from.
        settings: profile and trace settings of this code location, hashed into the provenance.
    """

    store: dg.ResourceDependency[Store]
    upstream: dict[str, list[str]]
    settings: dict[str, Any]

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Write provenance.json into the folder and put it in the place of the old one."""
        asset = context.asset_key.to_user_string()
        final = self.store.folder(asset)
        provenance = Provenance.of(
            asset=asset,
            folder=obj,
            inputs=[self.store.folder(name) for name in self.upstream.get(asset, [])],
            config={"settings": self.settings, "launch": context.step_context.op_config or {}},
        )
        write_json(obj / PROVENANCE, provenance.model_dump(mode="json"))
        replace(obj, final)
        metadata: dict[str, Any] = {
            "path": dg.MetadataValue.path(str(final)),
            "bytes": provenance.bytes,
            "sha256": provenance.sha256,
            "config_hash": provenance.config_hash,
            "code_version": provenance.code_version,
            "is_synthetic": provenance.is_synthetic,
        }
        if provenance.rows is not None:
            metadata["dagster/row_count"] = provenance.rows
        if provenance.trace is not None:
            metadata["trace"] = dg.MetadataValue.json(provenance.trace)
        context.add_output_metadata(metadata)

    def load_input(self, context: dg.InputContext) -> Path:
        """The upstream's folder.

        Raises:
            dagster.Failure: it was never materialised here; names the command that makes it.
        """
        asset = context.asset_key.to_user_string()
        folder = self.store.folder(asset)
        if not (folder / PROVENANCE).is_file():
            raise dg.Failure(
                description=(
                    f"{asset!r} has not been made yet: nothing is published at {folder}. Make it, "
                    f"and all it needs, with:  dagster asset materialize --select '*{asset}'"
                    "   (or everything with: make report)"
                ),
                allow_retries=False,
            )
        return folder
