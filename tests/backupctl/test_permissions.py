"""Operators' permissions, word by word: the local AWS does not ask for all of them."""

import json

import pytest

from backupctl import cli, permissions
from backupctl.stack import Function, Source, Stack

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"


def test_a_backfill_reads_the_sources_and_adds_to_the_backup() -> None:
    assert permissions.backfill("backups", ["photos", "videos"], [KEY]) == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::videos"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTagging",
            ],
            "Resource": ["arn:aws:s3:::photos/*", "arn:aws:s3:::videos/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetBucketVersioning", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::backups"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": ["arn:aws:s3:::backups/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [KEY],
            "Condition": {"StringLike": {"kms:ViaService": ["s3.eu-central-1.*"]}},
        },
    ]


def test_only_where_deletions_are_tracked_may_a_marker_be_put() -> None:
    plain = permissions.backfill("backups", ["photos"])
    tracked = permissions.backfill("backups", ["photos"], track_deletes=True)
    assert "Delete" not in str(plain)
    [changed] = [statement for statement in tracked if statement not in plain]
    assert changed["Resource"] == ["arn:aws:s3:::backups/*"]
    assert "s3:DeleteObject" in changed["Action"]
    assert "kms" not in str(plain)


def test_only_where_deletions_are_tracked_are_versions_listed() -> None:
    plain = permissions.verify("backups", ["photos"])
    tracked = permissions.verify("backups", ["photos"], track_deletes=True)
    assert [one for one in tracked if one not in plain] == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucketVersions"],
            "Resource": ["arn:aws:s3:::photos"],
        }
    ]


def test_jobs_are_created_and_followed_with_one_role_and_in_one_place() -> None:
    anything = "arn:aws:lambda:eu-central-1:123456789012:function:backup"
    role = "arn:aws:iam::123456789012:role/batch-job"
    place = "arn:aws:s3:::backups/.s3-backup/batch"
    assert permissions.batch_backfill("backups", anything, role) == [
        {"Effect": "Allow", "Action": ["s3:CreateJob"], "Resource": ["*"]},
        {"Effect": "Allow", "Action": ["s3:ListJobs"], "Resource": ["*"]},
        {
            "Effect": "Allow",
            "Action": ["s3:DescribeJob"],
            "Resource": ["arn:aws:s3:eu-central-1:123456789012:job/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": [role],
            "Condition": {
                "StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}
            },
        },
        {
            "Effect": "Allow",
            "Action": ["s3:AbortMultipartUpload", "s3:PutObject"],
            "Resource": [f"{place}/manifests/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": [f"{place}/jobs/*"],
        },
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{place}/reports/*"]},
    ]


def test_the_description_is_a_parameter_and_those_below() -> None:
    arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/s3-backup/prod"
    assert permissions.description(arn) == [
        {"Effect": "Allow", "Action": ["ssm:GetParameter"], "Resource": [arn, f"{arn}/*"]}
    ]


@pytest.mark.parametrize(
    ("prefix", "written"),
    [
        ("*", "${*}"),
        ("a?b/", "a${?}b/"),
        ("${aws:username}/", "${$}{aws:username}/"),
        ("${*}", "${$}{${*}}"),
        ("plain-{}/", "plain-{}/"),
    ],
)
def test_a_prefix_is_no_pattern(prefix: str, written: str) -> None:
    scratch = permissions.drill("backups", ["photos"], "attic", prefix)[-2]
    assert scratch["Resource"] == [f"arn:aws:s3:::attic/{written}s3-backup-drill/*"]


def test_a_bucket_is_no_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    for allowed in (
        permissions.backfill("b*", ["s?"]),
        permissions.verify("b*", ["s?"]),
        permissions.restore("b*", "s?"),
        permissions.drill("b*", ["s?"], "b*"),
        permissions.redrive("b*", ["s?"], "arn:queue"),
        permissions.status("b*", ["s?"], []),
        permissions.doctor("b*", ["s?"], [], []),
    ):
        text = str(allowed)
        assert "b${*}" in text
        assert "s${?}" in text
        assert "b*" not in text
        assert "s?" not in text
    assert cli.main(["--backup-bucket", "backups", "policy", "restore", "*"]) == 0
    assert "arn:aws:s3:::${*}/*" in capsys.readouterr().out


def test_a_document_says_everything_once() -> None:
    one, other = permissions.description("a"), permissions.description("b")
    assert permissions.document([*one, *other, *one]) == {
        "Version": "2012-10-17",
        "Statement": [*one, *other],
    }


PRINTED: dict[tuple[str, ...], list[permissions.Statement]] = {
    ("backfill",): permissions.backfill("backups", ["photos"], [KEY]),
    ("verify",): permissions.verify("backups", ["photos"], [KEY]),
    ("restore",): permissions.restore("backups", "photos", [KEY]),
    ("restore", "--exact"): permissions.restore("backups", "photos", [KEY], exact=True),
    ("drill", "--to", "attic/my/"): permissions.drill("backups", ["photos"], "attic", "my/", [KEY]),
}


@pytest.mark.parametrize("arguments", PRINTED)
def test_the_policy_of_a_command_is_what_is_printed(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command, *options = arguments
    named = ["--backup-bucket", "backups", "policy", command, "photos", "--kms-key-arn", KEY]
    assert cli.main([*named, *options]) == 0
    assert json.loads(capsys.readouterr().out) == permissions.document(PRINTED[arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drill", "photos"), "where to? name a bucket that is not backed up with --to"),
        (("drill", "photos", "--to", "photos/x"), "photos is backed up"),
        (("drill", "photos", "--to", "backups"), "backups is the backup bucket"),
        (("restore", "photos", "--to", "attic"), "--to is for drill; for restore, name the bucket"),
        (("drill", "photos", "--exact"), "--exact is for restore"),
        (("status", "photos"), "which stack? set --stack"),
    ],
)
def test_what_makes_no_policy_is_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--backup-bucket", "backups", "policy", *arguments]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.startswith(f"backupctl: {said}")) == ("", True), told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["verify", "drill"])
def test_only_with_a_bus_may_anything_be_announced(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(**exports: str) -> list[object]:
        function = Function("f", "arn:aws:lambda:eu-central-1:123456789012:function:f")
        sources = {"photos": Source("photos")}
        exports["drillBucketName"] = "scratch"
        stack = Stack("backups", (function,), "", sources, "STANDARD", exports)
        monkeypatch.setattr(Stack, "read", lambda *_: stack)
        assert cli.main(["--stack", "prod", "policy", command]) == 0
        return json.loads(capsys.readouterr().out)["Statement"]

    bus = "arn:aws:events:eu-central-1:123456789012:event-bus/default"
    with_bus, without = printed(eventBus=bus), printed()
    assert [one for one in with_bus if one not in without] == permissions.announce(bus)
    assert [one for one in without if one not in with_bus] == []


def test_a_drill_writes_and_deletes_below_its_prefix_only() -> None:
    assert permissions.drill("backups", ["photos", "videos"], "attic", "my/", [KEY]) == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": ["arn:aws:s3:::backups", "arn:aws:s3:::attic"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
            "Resource": ["arn:aws:s3:::backups/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": ["arn:aws:s3:::backups/.s3-backup/results/drill/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::videos"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectTagging"],
            "Resource": ["arn:aws:s3:::photos/*", "arn:aws:s3:::videos/*"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": ["arn:aws:s3:::attic/my/s3-backup-drill/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData"],
            "Resource": ["*"],
            "Condition": {"StringEquals": {"cloudwatch:namespace": "S3Backup"}},
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [KEY],
            "Condition": {"StringLike": {"kms:ViaService": ["s3.eu-central-1.*"]}},
        },
    ]


def test_only_to_restore_may_a_bucket_be_none_of_the_stacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Function("f", "arn:aws:lambda:eu-central-1:123456789012:function:f")
    sources = {"photos": Source("photos")}
    stack = Stack("backups", (function,), "", sources, "STANDARD", {}, kms_key_arn=KEY)
    monkeypatch.setattr(Stack, "read", lambda *_: stack)
    assert cli.main(["--stack", "prod", "policy", "verify", "attic"]) == 2
    assert "does not back up attic" in capsys.readouterr().err
    assert cli.main(["--stack", "prod", "policy", "restore", "attic"]) == 0
    printed = json.loads(capsys.readouterr().out)["Statement"]
    parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/s3-backup/prod"
    assert printed == [
        *permissions.restore("backups", "attic", [KEY]),
        *permissions.description(parameter),
    ]


def test_a_redrive_empties_one_queue_and_does_what_the_function_does() -> None:
    queue = "arn:aws:sqs:eu-central-1:123456789012:failures"
    found = permissions.redrive("backups", ["photos"], queue, [KEY], track_deletes=True)
    assert found == [
        {
            "Effect": "Allow",
            "Action": [
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ],
            "Resource": [queue],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::backups", "arn:aws:s3:::photos"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTagging",
            ],
            "Resource": ["arn:aws:s3:::photos/*"],
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            "Resource": ["arn:aws:s3:::backups/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [KEY],
            "Condition": {
                "StringLike": {"kms:ViaService": ["s3.eu-central-1.*", "sqs.eu-central-1.*"]}
            },
        },
    ]
    plain = permissions.redrive("backups", ["photos"], queue)
    assert "s3:DeleteObject" not in str(plain)
    assert "kms" not in str(plain)


def test_whoever_only_looks_may_change_nothing() -> None:
    looking = [
        *permissions.status("backups", ["photos"], ["queue"], [KEY]),
        *permissions.doctor("backups", ["photos"], ["function"], ["role"], [KEY]),
    ]
    actions = [action.partition(":")[2] for one in looking for action in one["Action"]]
    reading = ("Get", "List", "Describe", "Simulate", "Decrypt")
    assert [action for action in actions if not action.startswith(reading)] == []
    contents = [one["Resource"] for one in looking if "s3:GetObject" in one["Action"]]
    assert contents == [["arn:aws:s3:::backups/.s3-backup/results/*"]]
    everywhere = {action for one in looking if one["Resource"] == ["*"] for action in one["Action"]}
    assert everywhere == {
        "cloudwatch:GetMetricData",
        "cloudwatch:ListMetrics",
        "lambda:GetAccountSettings",
        "lambda:ListEventSourceMappings",
    }
