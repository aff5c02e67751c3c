"""What can go wrong between a bucket and the disk, and that nothing is lost, doubled or trusted."""

import random

import pytest

from marl.traces.manifest import TraceRequest
from marl.traces.sources import fetch, gcs_client, resumable
from marl.traces.sources.base import BudgetExceeded, SourceError
from tests.doubles.faults import Fault
from tests.doubles.gcs_front import GcsFront
from tests.doubles.small_traces import _pack
from tests.integration.traces_remote.conftest import BUCKET

NAME = "job_events/part-00000-of-00001.csv.gz"
MEDIA = r"GET /download/.*job_events"


def big_part(seed: int = 0) -> bytes:
    """A valid part of about 700 KB that hardly compresses."""
    draw = random.Random(seed)
    return _pack(
        [
            f"{i * 1000},,{i},{i % 5},u{draw.getrandbits(256)},{i % 4},n{draw.getrandbits(256)},l="
            for i in range(9000)
        ]
    )


@pytest.fixture
def one(gcs: GcsFront) -> tuple[GcsFront, bytes]:
    data = big_part()
    gcs.put(BUCKET, NAME, data)
    return gcs, data


def ask(**more) -> TraceRequest:
    return TraceRequest(source="gcs", location=f"gs://{BUCKET}", **more)


def arrived(tmp_path) -> bytes:
    return (tmp_path / NAME).read_bytes()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("where", [r"/o(\?|$)", MEDIA])
def test_passing_errors_are_waited_out_and_told(one, tmp_path, status: int, where: str):
    gcs, data = one
    gcs.faults.add(Fault(where, "status", status=status, times=3))
    lines: list[str] = []
    fetch(ask(), tmp_path, lines.append)
    assert arrived(tmp_path) == data
    assert gcs.media_bytes - 3 * gcs.media(NAME)[0].sent_bytes * (where == MEDIA) == len(data)
    assert sum("trying again in" in line for line in lines) == 3
    assert any("attempt 4 of 6" in line for line in lines)


@pytest.mark.parametrize("where", [r"/o(\?|$)", MEDIA])
def test_dropped_connections_are_taken_up(one, tmp_path, where: str):
    gcs, data = one
    gcs.faults.add(Fault(where, "drop", times=2))
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data


def test_a_body_cut_midway_goes_on_by_range(one, tmp_path):
    gcs, data = one
    third = len(data) // 3
    gcs.faults.add(Fault(MEDIA, "cut", after_bytes=third, times=2))
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data
    assert gcs.media_bytes == len(data)  # not one byte twice
    assert [entry.status for entry in gcs.media(NAME)] == [200, 206, 206]


def test_many_cuts_with_progress_are_no_reason_to_give_up(one, tmp_path):
    gcs, data = one
    gcs.faults.add(Fault(MEDIA, "cut", after_bytes=70_000, times=8))
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data
    assert gcs.media_bytes == len(data)


def test_an_interrupted_download_goes_on_in_the_next_run(one, tmp_path):
    gcs, data = one
    half = len(data) // 2
    gcs.faults.add(
        Fault(MEDIA, "cut", after_bytes=half), Fault(MEDIA, "status", status=503, times=6)
    )
    with pytest.raises(SourceError, match="run again, what arrived is kept"):
        fetch(ask(), tmp_path)
    assert not (tmp_path / NAME).exists()
    before = gcs.media_bytes
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data
    assert gcs.media_bytes - before == len(data) - half


def test_an_object_truncated_once_is_completed(one, tmp_path):
    gcs, data = one
    gcs.faults.add(Fault(MEDIA, "short", after_bytes=5000))
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data
    assert gcs.media_bytes == len(data)


def test_an_object_truncated_for_good_is_named(one, tmp_path):
    gcs, data = one
    gcs.replace[NAME] = {"size": str(len(data) + 1000)}
    with pytest.raises(SourceError, match=rf"gs://{BUCKET}/{NAME}#\d+ arrived wrong 3 times"):
        fetch(ask(), tmp_path)
    assert not (tmp_path / NAME).exists()
    assert not list(tmp_path.rglob("*.part"))
    assert gcs.media_bytes < 3.2 * len(data)


def test_a_flipped_byte_is_noticed_and_loaded_again(one, tmp_path):
    gcs, data = one
    gcs.faults.add(Fault(MEDIA, "flip"))
    lines: list[str] = []
    fetch(ask(), tmp_path, lines.append)
    assert arrived(tmp_path) == data
    assert any("crc32c" in line and "again" in line for line in lines)


@pytest.mark.parametrize(("hide", "kind"), [({"crc32c"}, "MD5"), ({"md5Hash"}, "crc32c")])
def test_either_checksum_suffices_to_refuse(one, tmp_path, hide: set[str], kind: str):
    gcs, _ = one
    gcs.hide = hide
    gcs.faults.add(Fault(MEDIA, "flip", times=3))
    with pytest.raises(SourceError, match=f"arrived wrong 3 times: its {kind} is"):
        fetch(ask(), tmp_path)
    assert not (tmp_path / NAME).exists()


def test_published_sums_are_verified(one, tmp_path):
    import hashlib

    gcs, data = one
    gcs.hide = {"crc32c", "md5Hash"}
    right = hashlib.sha256(data).hexdigest()
    gcs.put(BUCKET, "SHA256SUM", f"{'0' * 64} *./{NAME}\n".encode())
    with pytest.raises(SourceError, match="published sha256"):
        fetch(ask(), tmp_path / "wrong")
    gcs.put(BUCKET, "SHA256SUM", f"{right}  {NAME}\n".encode())
    manifest = fetch(ask(), tmp_path / "right")
    assert manifest.files[0].sha256 == right
    assert not any("checksum" in note for note in manifest.notes)


def test_an_object_without_any_checksum_is_reported(one, tmp_path):
    gcs, _ = one
    gcs.hide = {"crc32c", "md5Hash"}
    assert any("without any checksum" in note for note in fetch(ask(), tmp_path).notes)


def test_an_object_changed_between_two_ranges_is_started_over(one, tmp_path):
    gcs, _ = one
    new = big_part(seed=1)
    gcs.faults.add(
        Fault(MEDIA, "cut", after_bytes=300_000),
        Fault(MEDIA, "none", before=lambda: gcs.put(BUCKET, NAME, new), skip=0),
    )
    lines: list[str] = []
    manifest = fetch(ask(), tmp_path, lines.append)
    assert arrived(tmp_path) == new
    assert any("changed while it was being read" in line for line in lines)
    generation = gcs.media(NAME)[-1].line.split("generation=")[1]
    assert manifest.files[0].origin.endswith(f"#{generation}")


def test_a_part_of_an_old_version_is_never_continued(one, tmp_path):
    gcs, _ = one
    gcs.faults.add(
        Fault(MEDIA, "cut", after_bytes=300_000), Fault(MEDIA, "status", status=503, times=6)
    )
    with pytest.raises(SourceError):
        fetch(ask(), tmp_path)
    new = big_part(seed=2)
    gcs.put(BUCKET, NAME, new)
    before = gcs.media_bytes
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == new
    assert gcs.media_bytes - before == len(new)


def test_a_changed_object_replaces_the_file_of_an_earlier_run(one, tmp_path):
    gcs, _ = one
    fetch(ask(), tmp_path)
    new = big_part(seed=3)
    gcs.put(BUCKET, NAME, new)
    manifest = fetch(ask(), tmp_path)
    assert arrived(tmp_path) == new
    assert manifest.files[0].bytes == len(new)


def test_a_change_on_a_server_without_generations_is_noticed_by_its_sums(one, tmp_path):
    gcs, _ = one
    new = big_part(seed=4)
    gcs.has_generations = False
    gcs.faults.add(
        Fault(MEDIA, "cut", after_bytes=300_000),
        Fault(MEDIA, "none", before=lambda: gcs.put(BUCKET, NAME, new)),
    )
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == new


def test_an_object_deleted_midway_is_named(one, tmp_path):
    gcs, _ = one
    gcs.faults.add(
        Fault(MEDIA, "cut", after_bytes=300_000),
        Fault(MEDIA, "none", before=lambda: gcs.delete(BUCKET, NAME)),
    )
    with pytest.raises(SourceError, match="was deleted while it was being read"):
        fetch(ask(), tmp_path)


def test_a_server_without_ranges_still_gives_the_right_bytes(one, tmp_path):
    gcs, data = one
    gcs.has_ranges = False
    gcs.faults.add(Fault(MEDIA, "cut", after_bytes=300_000))
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data


def test_repeated_downloads_count_against_the_budget(one, tmp_path):
    gcs, data = one
    gcs.faults.add(Fault(MEDIA, "flip", times=2))
    with pytest.raises(BudgetExceeded):
        fetch(ask(budget_bytes=round(1.5 * len(data))), tmp_path)
    assert gcs.media_bytes <= 2.5 * len(data)


@pytest.mark.parametrize(
    ("status", "advice"), [(403, "log in with gcloud"), (401, "log in with gcloud"), (404, "check")]
)
def test_permanent_errors_are_not_repeated(one, tmp_path, status: int, advice: str):
    gcs, _ = one
    gcs.faults.add(Fault(r"/o(\?|$)", "status", status=status, reason="no", times=9))
    with pytest.raises(SourceError, match=advice):
        fetch(ask(), tmp_path)
    assert len(gcs.faults.served(r"/o(\?|$)")) == 1


def test_a_refused_download_is_not_repeated(one, tmp_path):
    gcs, _ = one
    gcs.faults.add(Fault(MEDIA, "status", status=403, reason="no", times=9))
    with pytest.raises(SourceError, match=f"downloading gs://{BUCKET}/{NAME}.*HTTP 403"):
        fetch(ask(), tmp_path)
    assert len(gcs.media(NAME)) == 1


def test_patience_ends(one, tmp_path):
    gcs, _ = one
    gcs.faults.add(Fault(r"/o(\?|$)", "status", status=503, times=99))
    with pytest.raises(SourceError, match="kept failing"):
        fetch(ask(), tmp_path)
    assert len(gcs.faults.served(r"/o(\?|$)")) == 6


def test_nobody_listening_is_an_error_one_can_read(tmp_path, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:9")
    with pytest.raises(SourceError, match=r"listing gs://clusterdata-2011-2/ failed"):
        fetch(ask(), tmp_path)


def test_memory_stays_flat_however_large_the_object(one):
    """Blocks handed to the sink are small: nothing holds an object as a whole."""
    _, data = one
    client = gcs_client.connect()
    item = gcs_client.list_objects(lambda f, _: f(), client, BUCKET, "")[0]
    sizes: list[int] = []
    client.stream(item, 0, None, lambda block: sizes.append(len(block)))
    assert sum(sizes) == len(data)
    assert max(sizes) <= gcs_client._BLOCK_BYTES


def test_gzip_marked_objects_arrive_as_stored(one, tmp_path, monkeypatch):
    """Servers and clients unpack `Content-Encoding: gzip`; the sums are of the stored bytes."""
    gcs, data = one
    gcs.replace[NAME] = {"contentEncoding": "gzip"}
    answer = gcs.answer

    def marked(path, headers):
        status, found, body = answer(path, headers)
        if path.startswith("/download/"):
            assert headers["Accept-Encoding"] == "gzip"
            found |= {"Content-Encoding": "gzip"}
        return status, found, body

    monkeypatch.setattr(gcs, "answer", marked)
    fetch(ask(), tmp_path)
    assert arrived(tmp_path) == data


def test_a_meter_speaks_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(resumable.time, "monotonic", lambda: now[0])
    lines: list[str] = []
    meter = resumable.Meter(100, lines.append)
    meter.add(10, "x")
    now[0] = 3.0
    meter.add(20, "x")
    assert lines == ["x: 30 bytes of 100 bytes"]
