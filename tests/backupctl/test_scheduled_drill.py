"""What the drilling function makes of its event and of its time."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import pytest

from backupctl import scheduled_drill
from backupctl.s3.listing import Page
from backupctl.scheduled_drill import DrillFailed, UnknownEvent, handler, parse
from backupctl.stack import Source
from handler.requests import Request, S3Error
from tests.handler.fake_s3 import Bucket, Versioning

from .fake_client import FakeClient
from .world import World

CONTENTS = {"cat": b"meow", "dog": b"woof", "fox": b"?"}


class Context:
    """As Lambda hands it over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class Scene(World):
    """A source with backups, and a scratch bucket; time passes only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Bucket("attic", Versioning.ENABLED, kms=False, scratch=True)
        self.s3.buckets["attic"] = self.scratch
        self.now = 0.0
        self.before: Callable[[Request], None] = lambda _request: None
        for self.key, content in CONTENTS.items():
            self.deliver(self.write(content))

    def monotonic(self) -> float:
        return self.now

    def drill(self, seconds: float = 900, **event: Any) -> Mapping[str, int]:
        whole = {"sources": {"photos": {}}, "sample": 20, "graceMinutes": 0, **event}
        return handler(whole, Context(seconds))

    def result(self) -> Any:
        current = self.backup.current(".s3-backup/results/drill/photos.json")
        return current and json.loads(current.content)


class Client(FakeClient):
    """The fake in place of S3 through botocore."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.s3)
        self.scene = scene

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def ask(self, request: Request) -> Mapping[str, Any]:
        self.scene.before(request)
        return await super().ask(request)

    async def list_page(self, operation: str, bucket: str, wanted: dict[str, Any]) -> Page:
        assert operation == "ListObjectsV2"
        if bucket not in self.s3.buckets:
            raise S3Error(operation, "NoSuchBucket", 404, "")
        pages = [page async for page in self.list_objects(bucket, wanted["Prefix"])]
        return Page([one for page in pages for one in page], [], [], True, {})


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    for name, value in {
        "BACKUP_BUCKET": made.backup.name,
        "BUCKET_OWNER": "111122223333",
        "SCRATCH_BUCKET": "attic",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(scheduled_drill, "ThreadedS3", lambda _driver: Client(made))
    monkeypatch.setattr(scheduled_drill, "monotonic", made.monotonic)
    return made


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def counted(logged: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("SourceBucket", "DrillCompleted", "DrillFindings")
    return [tuple(line[name] for name in names) for line in logged if "_aws" in line]


def test_what_comes_back_is_counted_and_recorded(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scene.drill() == {"photos": 0}
    logged = lines(capsys)
    assert counted(logged) == [("photos", 1, 0)]
    [metric] = [line for line in logged if "_aws" in line]
    [directive] = metric["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("S3Backup", [["SourceBucket"]])
    assert {each["Name"] for each in directive["Metrics"]} == {"DrillCompleted", "DrillFindings"}
    assert (scene.result()["sampled"], scene.result()["untried"]) == (3, 0)
    assert scene.scratch.under("") == []


def test_each_fault_is_a_line(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    versions = scene.backup.keys["photos/cat"]
    versions[-1] = replace(versions[-1], content=b"MEOW")
    assert scene.drill() == {"photos": 1}
    logged = lines(capsys)
    assert counted(logged) == [("photos", 1, 1)]
    [fault] = [line for line in logged if "key" in line]
    assert (fault["level"], fault["key"], fault["detail"]) == ("ERROR", "cat", "its bytes differ")


def test_when_time_is_up_the_rest_is_left_out_and_no_fault(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One at a time, so that it is known how many are tried.
    monkeypatch.setattr(scheduled_drill, "Drill", narrow)
    restored: list[str] = []

    def before(request: Request) -> None:
        if request.operation == "CopyObject":
            restored.append(request.parameters["Key"])
            scene.now += 500

    scene.before = before
    assert scene.drill(900) == {"photos": 0}
    # The second one began in time, but did not end in it.
    assert len(restored) == 2
    assert (scene.result()["sampled"], scene.result()["untried"]) == (1, 2)
    assert counted(lines(capsys)) == [("photos", 1, 0)]
    assert scene.scratch.under("") == []


def narrow(*args: Any, **more: Any) -> Any:
    from backupctl.drilling import Drill

    return Drill(*args, **more, width=1)


def test_an_answer_for_which_there_was_no_time_is_no_fault(scene: Scene) -> None:
    def before(request: Request) -> None:
        if request.operation == "CopyObject" and "attic" in str(request.parameters["Bucket"]):
            # Less than any answer takes, and than a pause before the next try.
            scene.now = 839.99
            raise S3Error("CopyObject", "ReadTimeoutError", 0, "")

    scene.before = before
    with pytest.raises(DrillFailed, match="not drilled: photos"):
        scene.drill(900)


def test_each_source_has_its_share_of_the_time(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.s3.buckets["videos"] = Bucket("videos", Versioning.ENABLED, kms=False)

    def before(request: Request) -> None:
        if request.operation == "CopyObject":
            scene.now += 1000

    scene.before = before
    with pytest.raises(DrillFailed, match="not drilled: photos"):
        scene.drill(900, sources={"photos": {}, "videos": {}})
    logged = lines(capsys)
    # The other one is empty, so there is nothing that it takes time for.
    assert counted(logged) == [("videos", 1, 0)]
    [problem] = [line["problem"] for line in logged if "problem" in line]
    assert "the time sufficed for none of 3 objects" in problem


def test_a_source_that_cannot_be_drilled_stops_no_other(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DrillFailed, match="not drilled: nowhere; the lines before say why"):
        scene.drill(sources={"nowhere": {}, "photos": {}})
    assert counted(lines(capsys)) == [("photos", 1, 0)]


def test_a_result_that_cannot_be_kept_is_an_error(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    def before(request: Request) -> None:
        if request.operation == "PutObject":
            raise S3Error("PutObject", "AccessDenied", 403, "")

    scene.before = before
    with pytest.raises(DrillFailed, match="not drilled: photos"):
        scene.drill()
    # What came back is known all the same.
    assert counted(lines(capsys)) == [("photos", 1, 0)]


def test_an_event_is_understood() -> None:
    wanted = parse({"sources": {"a": {}, "b": {"prefix": ["x", "y"]}}, "sample": 7})
    assert wanted.sources == (Source("a"), Source("b", ("x", "y"), ("",)))
    assert (wanted.sample, wanted.grace.total_seconds()) == (7, 15 * 60)


GOOD: dict[str, Any] = {"sources": {"a": {}}, "sample": 1}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ([], "the event is no object but list"),
        ({**GOOD, "more": 1}, "unknown field 'more'"),
        ({"sample": 1}, "sources are no object with names"),
        ({**GOOD, "sources": {}}, "sources are no object with names"),
        ({**GOOD, "sources": ["a"]}, "sources are no object with names"),
        ({**GOOD, "sources": {"a": None}}, "source 'a' has other filters"),
        ({**GOOD, "sources": {"a": {"prefix": "x"}}}, "source 'a' has other filters"),
        ({**GOOD, "sources": {"a": {"prefix": []}}}, "source 'a' has other filters"),
        ({**GOOD, "sources": {"a": {"infix": ["x"]}}}, "source 'a' has other filters"),
        ({"sources": {"a": {}}}, "sample is no number from 1 to 1,000"),
        ({**GOOD, "sample": True}, "sample is no number from 1 to 1,000"),
        ({**GOOD, "sample": 1001}, "sample is no number from 1 to 1,000"),
        ({**GOOD, "graceMinutes": -1}, "graceMinutes are no number from 0"),
    ],
)
def test_a_wrong_event_is_one_error_with_a_cure(event: object, said: str) -> None:
    with pytest.raises(UnknownEvent) as caught:
        parse(event)
    assert said in str(caught.value)
    assert str(caught.value).endswith('; write it as {"sources": {"BUCKET": {}}, "sample": 20}')
    assert len(str(caught.value).splitlines()) == 1
