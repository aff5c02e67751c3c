"""The Kaggle sample of clusterdata-2019: one CSV of (event, usage) pairs that fills two tables.

Its 34 columns hold an instance event joined with a usage window and with columns of the
collection's event. The time of that collection event is not among them, so no `collections` row can
be placed in time and none is made; the user, which in the native 2019 layout only collections
carry, is kept on the instances. Machine ids are the joined usage row's. The columns `event` and
`failed` contradict the proto's codes and are never read. Records are told apart in `csvrecords`.
"""

from dataclasses import replace
from typing import Final

from marl.traces.formats import google2019
from marl.traces.formats.spec import Field

_INSTANCES: Final = google2019.TABLES["instances"]

TABLES: Final = {
    "instances": replace(
        _INSTANCES,
        fields=(
            *(
                replace(field, source="instance_events_type") if field.source == "type" else field
                for field in _INSTANCES.fields
            ),
            Field("user", "user", "text"),
        ),
    ),
    "usage": google2019.TABLES["usage"],
}
NO_COLLECTIONS: Final = (
    "the Kaggle layout joins collections' columns to instance events without the time of the "
    "collection's event, so no row of `collections` can be made from it"
)
