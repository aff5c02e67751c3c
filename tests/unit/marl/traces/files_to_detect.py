"""Small hand-written trace files of every layout, for tests of detection and of local traces."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

HASH = "HofLGzk1Or/8Ildj2+Lqv0UGGvY82NLoni8+J/Yy0RU="
JOB_EVENTS = f"600000000,,3418309,0,{HASH},3,{HASH},{HASH}\n"
TASK_EVENTS = f"600000000,,3418314,0,3938719206,0,{HASH},3,9,0.125,0.07446,0.0004244,0\n"
TASK_USAGE = (
    "600000000,900000000,3418309,0,4155527081,0.001562,0.06787,0.07568,0.001156,0.001503,0.06787,"
    "2.861e-06,0.0001869,0.03967,0.0003567,2.445,0.007243,0,1,0\n"
)
MACHINE_EVENTS = f"0,5,0,{HASH},0.5,0.2493\n"
MACHINE_ATTRIBUTES = f"0,5,{HASH},2,0\n"
TASK_CONSTRAINTS = f"600000000,3418309,0,1,{HASH},2\n"

COLLECTION_EVENT = {"time": "0", "type": "0", "collection_id": "7", "user": HASH}
INSTANCE_EVENT = {"time": "0", "type": "0", "collection_id": "7", "instance_index": "1"}
INSTANCE_USAGE = {
    "start_time": "300000000",
    "end_time": "600000000",
    "collection_id": "7",
    "instance_index": "1",
    "average_usage": {"cpus": 0.1, "memory": 0.2},
}
MACHINE_EVENT = {"time": "0", "machine_id": "5", "type": "1"}
MACHINE_ATTRIBUTE = {"time": "0", "machine_id": "5", "name": HASH, "value": "1"}
KAGGLE = (
    ",time,instance_events_type,collection_id,scheduling_class,collection_type,priority,"
    "alloc_collection_id,instance_index,machine_id,resource_request,constraint,"
    "collections_events_type,user,collection_name,collection_logical_name,"
    "start_after_collection_ids,vertical_scaling,scheduler,start_time,end_time,average_usage,"
    "maximum_usage,random_sample_usage,assigned_memory,page_cache_memory,cycles_per_instruction,"
    "memory_accesses_per_instruction,sample_rate,cpu_usage_distribution,"
    "tail_cpu_usage_distribution,cluster,event,failed\n"
    "4,0,3,25,2,0,0,0,39,23,\"{'cpus': 0.1, 'memory': 0.2}\",[],3,u,c,l,[],3,0,300000000,600000000,"
    "\"{'cpus': 0.1, 'memory': 0.2}\",\"{'cpus': 0.1, 'memory': 0.2}\",\"{'cpus': 0.1}\",0,0,,,1,"
    '"[0. 0. 0.\n 0. 1.]",,1,FINISH,0\n'
)


def json_lines(record, count=3):
    return "".join(json.dumps(record) + "\n" for _ in range(count)).encode()


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def machine_parquet():
    return parquet(time=[0, 5], machine_id=[5, 6], type=[1, 1])


def zipped(content):
    return gzip.compress(content if isinstance(content, bytes) else content.encode(), mtime=0)
