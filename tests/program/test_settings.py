"""Every rule of the config, by the exact line that a mistake earns."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import settings
from sandbox import stack_config
from sandbox.engine import Created, deploy
from settings import (
    BUCKETS_PER_FUNCTION,
    BYTES_PER_FUNCTION,
    BYTES_PER_PARAMETER,
    LOG_RETENTION_DAYS,
    Alarms,
    ConfigError,
    Delivery,
    Encryption,
    KeyFilter,
    ObjectLock,
    Settings,
    SourceBucket,
    Subscription,
    Vpc,
    parse,
)
from tests.recorder import ACCOUNT, KEY_ARN, ROOT

FILE = "Pulumi.prod.yaml"
BASE: dict[str, Any] = {"backupBucket": "the-backups", "buckets": ["photos"]}
KNOWN = ", ".join(sorted(yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]))


def read(**changes: Any) -> Settings:
    return parse({**BASE, **changes}, file=FILE)


def mistakes(values: Mapping[str, Any]) -> list[str]:
    """The lines of the error, each without the file and namespace it must start with."""
    with pytest.raises(ConfigError) as caught:
        parse(values, file=FILE)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{FILE}: s3-backup:") for line in lines), lines
    return [line.removeprefix(f"{FILE}: s3-backup:") for line in lines]


def test_only_the_buckets_must_be_given() -> None:
    assert parse(BASE, file=FILE).model_dump() == {
        "backup_bucket": "the-backups",
        "buckets": (
            {"name": "photos", "backup": True, "prefixes": (), "suffixes": (), "quiet_hours": 0},
        ),
        "encryption_choice": "kms",
        "retention_days": 365,
        "storage_class": "STANDARD",
        "object_lock": None,
        "track_deletes": False,
        "break_glass_role_arn": None,
        "deployer_role_arns": (),
        "access_logs": True,
        "access_log_retention_days": 365,
        "audit": False,
        "permissions_boundary_arn": None,
        "vpc": None,
        "code_signing": False,
        "tracing": False,
        "log_retention_days": 365,
        "memory": 512,
        "timeout": 900,
        "reserved_concurrency": -1,
        "bucket_metrics": True,
        "batch_operations": False,
        "delivery": Delivery.DIRECT,
        "queue_batch_size": 100,
        "queue_batch_window": 1,
        "queue_max_concurrency": -1,
        "alarms": {
            "emails": (),
            "subscriptions": (),
            "only": None,
            "lag_seconds": 3600,
            "verify_days": 0,
            "drill_days": 0,
        },
        "dashboard": False,
        "drill": None,
        "events": None,
    }


BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
VPC = {
    "subnetIds": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"],
    "securityGroupIds": ["sg-0a1b2c3d"],
}
BREAK_GLASS = f"arn:aws:iam::{ACCOUNT}:role/break-glass"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/teams/deployer"
FULL: dict[str, Any] = {
    "backupBucket": "the-backups",
    "buckets": [
        "photos",
        {"name": "videos", "prefix": "raw/", "suffix": [".mov", ".mp4"]},
        {"name": "scratch", "backup": False},
    ],
    "encryption": KEY_ARN,
    "retentionDays": 30,
    "storageClass": "GLACIER_IR",
    "objectLock": {"mode": "COMPLIANCE", "days": 7},
    "trackDeletes": True,
    "breakGlassRoleArn": BREAK_GLASS,
    "deployerRoleArns": [DEPLOYER],
    "accessLogs": False,
    "accessLogRetentionDays": 90,
    "audit": True,
    "permissionsBoundaryArn": BOUNDARY,
    "vpc": VPC,
    "codeSigning": True,
    "tracing": True,
    "logRetentionDays": 14,
    "memory": 10_240,
    "timeout": 1,
    "reservedConcurrency": 100_000,
    "bucketMetrics": False,
    "batchOperations": True,
    "delivery": "queue",
    "queueBatchSize": 10_000,
    "queueBatchWindow": 300,
    "queueMaxConcurrency": 1000,
    "alarms": {
        "emails": "team@example.com",
        "subscriptions": [{"protocol": "sms", "endpoint": "+4915112345678"}],
        "only": ["errors", "throttles"],
        "lagSeconds": 0,
    },
}
READ = Settings.model_construct(
    backup_bucket="the-backups",
    buckets=(
        SourceBucket(name="photos"),
        SourceBucket.model_construct(
            name="videos", backup=True, prefixes=("raw/",), suffixes=(".mov", ".mp4")
        ),
        SourceBucket(name="scratch", backup=False),
    ),
    encryption_choice=KEY_ARN,
    retention_days=30,
    storage_class="GLACIER_IR",
    object_lock=ObjectLock(mode="COMPLIANCE", days=7),
    track_deletes=True,
    break_glass_role_arn=BREAK_GLASS,
    deployer_role_arns=(DEPLOYER,),
    access_logs=False,
    access_log_retention_days=90,
    audit=True,
    permissions_boundary_arn=BOUNDARY,
    vpc=Vpc.model_validate(VPC),
    code_signing=True,
    tracing=True,
    log_retention_days=14,
    memory=10_240,
    timeout=1,
    reserved_concurrency=100_000,
    bucket_metrics=False,
    batch_operations=True,
    delivery=Delivery.QUEUE,
    queue_batch_size=10_000,
    queue_batch_window=300,
    queue_max_concurrency=1000,
    alarms=Alarms.model_construct(
        emails=("team@example.com",),
        subscriptions=(Subscription(protocol="sms", endpoint="+4915112345678"),),
        only=("errors", "throttles"),
        lag_seconds=0,
    ),
)


def test_everything_can_be_given() -> None:
    assert parse(FULL, file=FILE) == READ


def test_the_text_that_the_engine_makes_of_a_config_says_the_same() -> None:
    text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in FULL.items()}
    assert parse(text, file=FILE) == READ


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({}, True),
        ({"alarms": {"only": []}}, True),
        ({"alarms": {"lagSeconds": 0}}, True),
        ({"alarms": {"only": "errors", "lagSeconds": 0}}, True),
        ({"alarms": {"only": [], "lagSeconds": "0"}}, False),
        (
            {
                "alarms": '{"only": [], "lagSeconds": 0}',
                "buckets": [{"name": "photos", "quietHours": "26"}],
            },
            True,
        ),
    ],
)
def test_there_are_alarms_unless_every_one_is_off(change: dict[str, Any], there: bool) -> None:
    assert read(**change).has_alarms is there


def test_everybody_hears_of_alarms_whichever_way_they_are_listed() -> None:
    sms = {"protocol": "sms", "endpoint": "+4915112345678"}
    found = read(alarms={"emails": ["a@example.com", "b@example.com"], "subscriptions": [sms]})
    assert [(one.protocol, one.endpoint) for one in found.alarms.recipients] == [
        ("email", "a@example.com"),
        ("email", "b@example.com"),
        ("sms", "+4915112345678"),
    ]


ARN = "arn:aws:{}:eu-central-1:123456789012:{}"


@pytest.mark.parametrize(
    ("protocol", "good", "bad"),
    [
        ("email", "team+alarms@example.co.uk", "team@example"),
        ("email-json", "team@example.com", "a team@example.com"),
        ("https", "https://example.com/alarms?key=1", "http://example.com/alarms"),
        ("https", "https://example.com", "https:///alarms"),
        ("lambda", ARN.format("lambda", "function:page:live"), ARN.format("lambda", "page")),
        ("sms", "+4915112345678", "015112345678"),
        ("sqs", ARN.format("sqs", "alarms"), ARN.format("sqs", "alarms.fifo")),
    ],
)
def test_an_endpoint_is_what_its_protocol_wants(protocol: str, good: str, bad: str) -> None:
    def config(endpoint: str) -> dict[str, Any]:
        return {"subscriptions": [{"protocol": protocol, "endpoint": endpoint}]}

    [subscription] = read(alarms=config(good)).alarms.subscriptions
    assert (subscription.protocol, subscription.endpoint) == (protocol, good)
    [line] = mistakes({**BASE, "alarms": config(bad)})
    assert line.startswith("alarms.subscriptions[0]: {")
    assert f": no endpoint of protocol {protocol}; write one like " in line


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="Instance is frozen"):
        read().memory = 1


@pytest.mark.parametrize("empty", [{}, "{}", None, "null"])
def test_an_empty_object_lock_is_none(empty: object) -> None:
    assert read(objectLock=empty).object_lock is None


@pytest.mark.parametrize("off", [False, "false", "no", "off", "False"])
def test_every_yaml_word_for_false_switches_a_backup_off(off: object) -> None:
    config = read(buckets=["photos", {"name": "scratch", "backup": off}])
    assert [(b.name, b.backup) for b in config.buckets] == [("photos", True), ("scratch", False)]


@pytest.mark.parametrize(
    ("choice", "encryption", "own_key_arn"),
    [
        ("kms", Encryption.STACK_KEY, None),
        ("s3", Encryption.S3_MANAGED, None),
        (KEY_ARN, Encryption.OWN_KEY, KEY_ARN),
    ],
)
def test_encryption_is_the_stacks_key_or_s3s_or_ones_own(
    choice: str, encryption: Encryption, own_key_arn: str | None
) -> None:
    config = read(encryption=choice)
    assert (config.encryption, config.own_key_arn) == (encryption, own_key_arn)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
        "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ],
)
def test_keys_of_every_kind_and_partition_are_accepted(arn: str) -> None:
    assert read(encryption=arn).own_key_arn == arn


def test_filters_are_every_prefix_with_every_suffix() -> None:
    bucket = {"name": "photos", "prefix": ["a/", "b/"], "suffix": [".x", ".y"]}
    assert read(buckets=[bucket]).buckets[0].filters == (
        KeyFilter("a/", ".x"),
        KeyFilter("a/", ".y"),
        KeyFilter("b/", ".x"),
        KeyFilter("b/", ".y"),
    )


@pytest.mark.parametrize(
    ("restriction", "filters"),
    [
        ({}, (KeyFilter(None, None),)),
        ({"prefix": "a/"}, (KeyFilter("a/", None),)),
        ({"suffix": [".x", ".y"]}, (KeyFilter(None, ".x"), KeyFilter(None, ".y"))),
        ({"prefix": [], "suffix": []}, (KeyFilter(None, None),)),
    ],
)
def test_a_side_that_is_not_restricted_stays_open(
    restriction: dict[str, Any], filters: tuple[KeyFilter, ...]
) -> None:
    assert read(buckets=[{"name": "photos", **restriction}]).buckets[0].filters == filters


def test_buckets_that_are_backed_up_are_described_with_their_filters() -> None:
    videos = {"name": "videos", "prefix": ["a/", "b/"], "suffix": ".mp4"}
    found = read(buckets=["photos", {"name": "scratch", "backup": False}, videos])
    assert found.backed_up == {
        "photos": {},
        "videos": {"prefix": ["a/", "b/"], "suffix": [".mp4"]},
    }


def test_a_thousand_buckets_are_taken_and_described_in_parts() -> None:
    names = [f"a-company-with-a-long-name-department-of-archives-{n:013}" for n in range(1000)]
    assert {len(name) for name in names} == {63}
    for config in ({}, {"delivery": "queue"}):
        found = read(buckets=names, **config)
        assert len(found.backup_groups) == 143
        size = len(json.dumps(found.backed_up)) + 143 * BYTES_PER_FUNCTION
        assert size / found.description_parts < BYTES_PER_PARAMETER
    assert read().description_parts == 1


def test_more_than_a_trail_can_select_is_refused() -> None:
    buckets = [f"photos-{n}" for n in range(500)]
    assert read(buckets=buckets[:430], audit="true").audit
    assert mistakes({**BASE, "audit": "true", "buckets": buckets}) == [
        "audit: 573 buckets and functions, and CloudTrail takes 500 per trail; leave it off and "
        "make a trail of your own for all buckets of the account, or use two stacks"
    ]


def test_every_character_that_needs_no_encoding_can_be_in_a_filter() -> None:
    prefix = "AZaz09/!-_.'()"
    assert read(buckets=[{"name": "photos", "prefix": prefix}]).buckets[0].prefixes == (prefix,)


@pytest.mark.parametrize(
    ("wanted", "sizes"),
    [
        (1, [1]),
        (BUCKETS_PER_FUNCTION, [BUCKETS_PER_FUNCTION]),
        (BUCKETS_PER_FUNCTION + 1, [BUCKETS_PER_FUNCTION, 1]),
        (2 * BUCKETS_PER_FUNCTION, [BUCKETS_PER_FUNCTION] * 2),
    ],
)
def test_groups_are_as_large_as_one_function_can_serve(wanted: int, sizes: list[int]) -> None:
    names = [f"source-{number}" for number in range(wanted)]
    plain = [{"name": f"plain-{number}", "backup": False} for number in range(3)]
    groups = read(buckets=[*plain, *names]).backup_groups
    assert [len(group) for group in groups] == sizes
    assert [bucket.name for group in groups for bucket in group] == names


@pytest.mark.parametrize("name", ["abc", "a" * 63, "1.2.3", "a.b-c", "0-0", "a--b", "1.2.3.4.5"])
def test_a_name_that_s3_takes_is_accepted(name: str) -> None:
    assert read(buckets=[name]).buckets[0].name == name
    assert read(backupBucket=name).backup_bucket == name


LETTERS = (
    "a bucket name has only a-z, 0-9, '.' and '-', and starts and ends with a letter or digit; "
    "choose another name"
)
IP = "a bucket name must not look like an IP address; choose another name"
START = "S3 reserves names that start with xn--, sthree-, amzn-s3-demo-; choose another start"
END = (
    "S3 reserves names that end with -s3alias, --ol-s3, .mrap, --x-s3, --table-s3, -an; "
    "choose another end"
)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "a bucket name has 3 to 63 characters, this one has 0; choose another name"),
        ("ab", "a bucket name has 3 to 63 characters, this one has 2; choose another name"),
        ("a" * 64, "a bucket name has 3 to 63 characters, this one has 64; choose another name"),
        ("Photos", LETTERS),
        ("my_photos", LETTERS),
        ("-photos", LETTERS),
        ("photos-", LETTERS),
        (".photos", LETTERS),
        ("photos.", LETTERS),
        ("phötos", LETTERS),
        ("photos\n", LETTERS),
        ("my photos", LETTERS),
        ("my..photos", "a bucket name has no two dots in a row; remove one dot"),
        ("192.168.5.4", IP),
        ("xn--photos", START),
        ("sthree-photos", START),
        ("amzn-s3-demo-photos", START),
        ("photos-s3alias", END),
        ("photos--ol-s3", END),
        ("photos.mrap", END),
        ("photos--use1-az4--x-s3", END),
        ("photos--table-s3", END),
        ("photos-123456789012-eu-central-1-an", END),
    ],
)
def test_a_name_that_s3_refuses_is_refused_wherever_it_is_written(name: str, problem: str) -> None:
    text = json.dumps(name)
    assert mistakes({**BASE, "buckets": [name]}) == [f"buckets[0]: {text}: {problem}"]
    assert mistakes({**BASE, "buckets": [{"name": name}]}) == [
        f"buckets[0].name: {text}: {problem}"
    ]
    assert mistakes({**BASE, "backupBucket": name}) == [f"backupBucket: {text}: {problem}"]


NO_LIST = "not a list; write a list, one '- ' line per entry"
NO_OBJECT = "not an object; write one 'key: value' line per field"
NO_NUMBER = "not a whole number; write digits only"
NO_CLASS = (
    "not a storage class for backups, which must survive the loss of a zone; choose one of "
    "STANDARD, INTELLIGENT_TIERING, STANDARD_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE"
)
NO_KEY = (
    "neither 'kms', 's3' nor the ARN of a KMS key; use one of these, as in "
    "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-... "
    "(the ARN of the key, not of an alias)"
)
ALIAS = KEY_ARN.rpartition(":")[0] + ":alias/backups"
FILTER_CHARACTERS = (
    "a filter has only letters, digits and / ! - _ . ' ( ); "
    "end the prefix (or start the suffix) next to the other one, which lets more keys match"
)
NOTHING = (
    "buckets: every entry has backup: false, so nothing would be backed up; "
    "set backup to true for at least one"
)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"bucket": 1},
            f"bucket: 1: unknown key; remove it or correct its spelling; known here: {KNOWN}",
        ),
        (
            {"backup_bucket": "a"},
            f'backup_bucket: "a": unknown key; remove it or correct its spelling; '
            f"known here: {KNOWN}",
        ),
        (
            {"two\nlines": 1},
            f'"two\\nlines": 1: unknown key; remove it or correct its spelling; '
            f"known here: {KNOWN}",
        ),
        ({"backupBucket": 5}, "backupBucket: 5: not text; write a name"),
        ({"buckets": []}, "buckets: []: the list is empty; add at least one bucket"),
        ({"buckets": "photos"}, f'buckets: "photos": {NO_LIST}'),
        ({"buckets": '"[]"'}, f'buckets: "[]": {NO_LIST}'),
        ({"buckets": "[" * 100_000}, f'buckets: "{"[" * 76}...: {NO_LIST}'),
        ({"buckets": {"photos": True}}, f'buckets: {{"photos": true}}: {NO_LIST}'),
        ({"buckets": [5]}, f"buckets[0]: 5: {NO_OBJECT}"),
        ({"buckets": [None]}, f"buckets[0]: null: {NO_OBJECT}"),
        ({"buckets": [{}]}, "buckets[0].name: required, but missing; add it"),
        ({"buckets": [{"name": 5}]}, "buckets[0].name: 5: not text; write a name"),
        (
            {"buckets": [{"name": "photos", "prefx": "a"}]},
            'buckets[0].prefx: "a": unknown key; remove it or correct its spelling; '
            "known here: backup, name, prefix, quietHours, suffix",
        ),
        (
            {"buckets": ["photos", {"name": "videos", "backup": "maybe"}]},
            'buckets[1].backup: "maybe": neither true nor false; write true or false',
        ),
        (
            {"buckets": ["photos", {"name": "videos", "backup": None}]},
            "buckets[1].backup: null: neither true nor false; write true or false",
        ),
        (
            {"buckets": [{"name": "photos", "prefix": ""}]},
            'buckets[0].prefix[0]: "": an empty filter matches everything; '
            "leave the filter out instead",
        ),
        (
            {"buckets": [{"name": "photos", "suffix": [".x", ""]}]},
            'buckets[0].suffix[1]: "": an empty filter matches everything; '
            "leave the filter out instead",
        ),
        (
            {"buckets": [{"name": "photos", "prefix": "a b"}]},
            f'buckets[0].prefix[0]: "a b": {FILTER_CHARACTERS}',
        ),
        (
            {"buckets": [{"name": "photos", "prefix": "é"}]},
            f'buckets[0].prefix[0]: "\\u00e9": {FILTER_CHARACTERS}',
        ),
        (
            {"buckets": [{"name": "photos", "prefix": "\ud800"}]},
            f'buckets[0].prefix[0]: "\\ud800": {FILTER_CHARACTERS}',
        ),
        (
            {"buckets": [{"name": "photos", "suffix": "a" * 1025}]},
            f'buckets[0].suffix[0]: "{"a" * 76}...: a key has at most 1,024 bytes; '
            "shorten the filter",
        ),
        ({"buckets": [{"name": "photos", "prefix": 5}]}, f"buckets[0].prefix: 5: {NO_LIST}"),
        (
            {"buckets": [{"name": "photos", "prefix": [5]}]},
            "buckets[0].prefix[0]: 5: not text; write a name",
        ),
        ({"encryption": "aes"}, f'encryption: "aes": {NO_KEY}'),
        ({"encryption": "own"}, f'encryption: "own": {NO_KEY}'),
        ({"encryption": ALIAS}, f'encryption: "{ALIAS}": {NO_KEY}'),
        ({"encryption": 5}, "encryption: 5: not text; write a name"),
        ({"storageClass": "ONEZONE_IA"}, f'storageClass: "ONEZONE_IA": {NO_CLASS}'),
        ({"storageClass": "glacier"}, f'storageClass: "glacier": {NO_CLASS}'),
        ({"storageClass": ""}, f'storageClass: "": {NO_CLASS}'),
        ({"storageClass": 5}, "storageClass: 5: not text; write a name"),
        ({"retentionDays": 0}, "retentionDays: 0: too small; use 1 or more"),
        ({"retentionDays": 36_501}, "retentionDays: 36501: too large; use 36500 or less"),
        ({"retentionDays": "0"}, 'retentionDays: "0": too small; use 1 or more'),
        ({"retentionDays": 1.5}, f"retentionDays: 1.5: {NO_NUMBER}"),
        ({"retentionDays": True}, f"retentionDays: true: {NO_NUMBER}"),
        ({"retentionDays": "1_000"}, f'retentionDays: "1_000": {NO_NUMBER}'),
        ({"retentionDays": " 1"}, f'retentionDays: " 1": {NO_NUMBER}'),
        ({"retentionDays": "٣"}, f'retentionDays: "\\u0663": {NO_NUMBER}'),
        ({"retentionDays": "9" * 10}, f'retentionDays: "9999999999": {NO_NUMBER}'),
        ({"memory": 127}, "memory: 127: too small; use 128 or more"),
        ({"memory": 10_241}, "memory: 10241: too large; use 10240 or less"),
        ({"timeout": 0}, "timeout: 0: too small; use 1 or more"),
        ({"timeout": 901}, "timeout: 901: too large; use 900 or less"),
        (
            {"reservedConcurrency": 0},
            "reservedConcurrency: 0: 0 would stop every backup; "
            "use -1 to reserve nothing, or a number of 1 or more",
        ),
        (
            {"alarms": {"email": "team@example.com"}},
            'alarms.email: "team@example.com": unknown key; remove it or correct its spelling; '
            "known here: drillDays, emails, lagSeconds, only, subscriptions, verifyDays",
        ),
        ({"alarms": []}, f"alarms: []: {NO_OBJECT}"),
        (
            {"alarms": {"emails": "team"}},
            'alarms.emails[0]: "team": not an email address; write one like team@example.com',
        ),
        (
            {"alarms": {"subscriptions": [{"protocol": "http", "endpoint": "http://x"}]}},
            'alarms.subscriptions[0].protocol: "http": not one of the choices; '
            "use 'email', 'email-json', 'https', 'lambda', 'sms' or 'sqs'",
        ),
        (
            {"alarms": {"subscriptions": [{"protocol": "sms", "endpoint": "+49151", "a": 1}]}},
            "alarms.subscriptions[0].a: 1: unknown key; remove it or correct its spelling; "
            "known here: endpoint, protocol",
        ),
        (
            {"alarms": {"only": ["errors", "quiet"]}},
            "alarms.only[1]: \"quiet\": not one of the choices; use 'errors', 'events-lost', "
            "'failures-waiting', 'out-of-time', 'recursion-stopped' or 'throttles'",
        ),
        (
            {"alarms": {"lagSeconds": 21_601}},
            "alarms.lagSeconds: 21601: too large; use 21600 or less",
        ),
        (
            {"alarms": {"emails": ["a@example.com", "a@example.com"]}},
            'alarms: "a@example.com": would hear of every alarm twice; '
            "list it once, in emails or in subscriptions",
        ),
        (
            {"alarms": {"emails": "a@example.com", "only": [], "lagSeconds": 0}},
            "alarms: nobody would ever hear anything, as only is empty, lagSeconds, verifyDays and "
            "drillDays are 0 and no bucket has quietHours; remove emails and subscriptions or ask "
            "for an alarm",
        ),
        (
            {"alarms": {"drillDays": 8}},
            "alarms.drillDays: 8: too large; use 7 or less",
        ),
        (
            {"buckets": [{"name": "photos", "quietHours": 169}]},
            "buckets[0].quietHours: 169: too large; use 168 or less",
        ),
        (
            {"buckets": ["photos", {"name": "scratch", "backup": False, "quietHours": 1}]},
            "buckets[1].quietHours: 1: waits for backups, but backup is false; "
            "remove quietHours or set backup to true",
        ),
        (
            {"buckets": [{"name": "photos", "quietHours": 1}], "bucketMetrics": False},
            "buckets[0].quietHours: 1: needs the metrics of the bucket, but bucketMetrics is "
            "false; remove quietHours or set bucketMetrics to true",
        ),
        ({"reservedConcurrency": -2}, "reservedConcurrency: -2: too small; use -1 or more"),
        (
            {"reservedConcurrency": 100_001},
            "reservedConcurrency: 100001: too large; use 100000 or less",
        ),
        (
            {"logRetentionDays": 4},
            "logRetentionDays: 4: CloudWatch Logs does not offer this retention; "
            "choose one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, "
            "1827, 2192, 2557, 2922, 3288, 3653",
        ),
        ({"objectLock": "on"}, f'objectLock: "on": {NO_OBJECT}'),
        ({"objectLock": {"days": 1}}, "objectLock.mode: required, but missing; add it"),
        (
            {"objectLock": {"mode": "COMPLIANCE"}},
            "objectLock.days: required, but missing; add it",
        ),
        (
            {"objectLock": {"mode": "governance", "days": 1}},
            'objectLock.mode: "governance": not one of the choices; '
            "use 'GOVERNANCE' or 'COMPLIANCE'",
        ),
        (
            {"objectLock": {"mode": "GOVERNANCE", "days": 0}},
            "objectLock.days: 0: too small; use 1 or more",
        ),
        (
            {"objectLock": {"mode": "GOVERNANCE", "days": 36_501}},
            "objectLock.days: 36501: too large; use 36500 or less",
        ),
        (
            {"objectLock": {"mode": "GOVERNANCE", "days": 1, "years": 1}},
            "objectLock.years: 1: unknown key; remove it or correct its spelling; "
            "known here: days, mode",
        ),
        (
            {"buckets": ["photos", "the-backups"]},
            'buckets[1]: "the-backups": the backup bucket cannot be a source, its copies would be '
            "copied for ever; list another bucket or rename backupBucket",
        ),
        (
            {"buckets": ["photos", "videos", {"name": "photos", "backup": False}]},
            'buckets[2]: "photos": listed already as buckets[0]; remove one of the two',
        ),
        ({"buckets": [{"name": "photos", "backup": False}]}, NOTHING),
        ({"buckets": [{"name": "photos", "backup": "no"}]}, NOTHING),
        (
            {"buckets": ["photos", {"name": "videos", "backup": "off", "suffix": ".x"}]},
            "buckets[1]: filters choose what is backed up, but backup is false; "
            "remove the filters or set backup to true",
        ),
        (
            {"buckets": [{"name": "photos", "prefix": ["ab/", "x/", "a"]}]},
            'buckets[0].prefix: "ab/" and "a" overlap, which S3 refuses; keep only "a"',
        ),
        (
            {"buckets": [{"name": "photos", "suffix": [".gz", ".tar.gz"]}]},
            'buckets[0].suffix: ".gz" and ".tar.gz" overlap, which S3 refuses; keep only ".gz"',
        ),
        (
            {"buckets": [{"name": "photos", "prefix": ["a/", "a/"]}]},
            'buckets[0].prefix: "a/" and "a/" overlap, which S3 refuses; keep only "a/"',
        ),
        (
            {
                "buckets": [
                    {
                        "name": "photos",
                        "prefix": [f"{number:02}/" for number in range(11)],
                        "suffix": [f".{number:02}" for number in range(10)],
                    }
                ]
            },
            "buckets[0]: 11 prefixes with 10 suffixes make 110 filters, S3 allows 100 per bucket; "
            "use fewer",
        ),
    ],
)
def test_a_mistake_gives_one_line_that_names_it_and_its_cure(
    change: dict[str, Any], line: str
) -> None:
    assert mistakes({**BASE, **change}) == [line]


def test_what_is_missing_is_named() -> None:
    assert mistakes({}) == [
        "backupBucket: required, but missing; add it",
        "buckets: required, but missing; add it",
    ]


def test_all_mistakes_are_told_at_once() -> None:
    assert mistakes(
        {
            "backupBucket": "the-backups",
            "buckets": [
                "the-backups",
                "photos",
                {"name": "My_Photos"},
                {"name": "photos", "prefix": ["a", "ab"]},
            ],
            "memory": "lots",
            "objectLock": {"mode": "GOVERNANCE", "days": 0},
            "speed": 1,
        }
    ) == [
        f'buckets[2].name: "My_Photos": {LETTERS}',
        "objectLock.days: 0: too small; use 1 or more",
        f'memory: "lots": {NO_NUMBER}',
        f"speed: 1: unknown key; remove it or correct its spelling; known here: {KNOWN}",
        'buckets[0]: "the-backups": the backup bucket cannot be a source, its copies would be '
        "copied for ever; list another bucket or rename backupBucket",
        'buckets[3]: "photos": listed already as buckets[1]; remove one of the two',
        'buckets[3].prefix: "a" and "ab" overlap, which S3 refuses; keep only "a"',
    ]


def test_a_line_names_file_namespace_path_value_problem_and_cure() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({**BASE, "buckets": ["photos", "videos", {"name": "A-b"}]}, file=FILE)
    assert str(caught.value) == (f'Pulumi.prod.yaml: s3-backup:buckets[2].name: "A-b": {LETTERS}')


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("retentionDays", (1, 36_500)),
        ("logRetentionDays", LOG_RETENTION_DAYS),
        ("memory", (128, 10_240)),
        ("timeout", (1, 900)),
        ("reservedConcurrency", (-1, 1, 100_000)),
    ],
)
def test_the_ends_of_every_range_are_accepted(field: str, values: tuple[int, ...]) -> None:
    for value in values:
        dumped = read(**{field: value}).model_dump(by_alias=True)
        assert dumped[field] == value
        assert read(**{field: str(value)}).model_dump(by_alias=True) == dumped


# Text with lone surrogates too: JSON can spell them.
TEXTS = st.text(st.characters(), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["photos", "videos", "the-backups", "A", "a..b", ""])
FILTERS = st.sampled_from(["a", "ab", "b/", "", "é"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | JSON,
        "backup": st.sampled_from([True, False, "no", "yes", 0, 1]) | JSON,
        "prefix": FILTERS | st.lists(FILTERS | JSON, max_size=3) | JSON,
        "suffix": FILTERS | st.lists(FILTERS | JSON, max_size=3) | JSON,
        "quietHours": st.integers(-1, 170) | JSON,
        "extra": JSON,
    },
)
LOCKS = st.fixed_dictionaries(
    {}, optional={"mode": st.just("GOVERNANCE") | JSON, "days": st.integers(-1, 9) | JSON}
)


ADDRESSES = st.sampled_from(["a@example.com", "b@example.com", "c"])
ALARMS = st.fixed_dictionaries(
    {},
    optional={
        "emails": ADDRESSES | st.lists(ADDRESSES, max_size=3) | JSON,
        "subscriptions": st.lists(
            st.fixed_dictionaries({"protocol": st.just("email"), "endpoint": ADDRESSES}) | JSON,
            max_size=3,
        )
        | JSON,
        "only": st.lists(st.sampled_from(["errors", "quiet"]), max_size=2) | JSON,
        "lagSeconds": st.integers(-1, 1) | JSON,
    },
)


def as_text_or_not(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | values.map(json.dumps)


CONFIGS = st.builds(
    lambda known, unknown: {**unknown, **known},
    st.fixed_dictionaries(
        {},
        optional={
            "backupBucket": NAMES | JSON,
            "buckets": as_text_or_not(st.lists(NAMES | ENTRIES | JSON, max_size=4) | JSON),
            "encryption": st.sampled_from(["kms", "s3", KEY_ARN]) | JSON,
            "objectLock": as_text_or_not(LOCKS | JSON),
            "delivery": st.sampled_from(["direct", "queue", "draining"]) | JSON,
            "alarms": as_text_or_not(ALARMS | JSON),
            "bucketMetrics": as_text_or_not(st.booleans() | JSON),
            "batchOperations": as_text_or_not(st.booleans() | JSON),
            **{
                name: as_text_or_not(st.integers(-2, 1000) | JSON)
                for name in (
                    "retentionDays",
                    "logRetentionDays",
                    "memory",
                    "timeout",
                    "reservedConcurrency",
                    "queueBatchSize",
                    "queueBatchWindow",
                    "queueMaxConcurrency",
                )
            },
        },
    ),
    st.dictionaries(TEXTS, JSON, max_size=2),
)


@given(CONFIGS)
def test_any_config_is_either_usable_or_told_line_by_line(config: dict[str, Any]) -> None:
    try:
        read_config = parse(config, file=FILE)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith("Pulumi.prod.yaml: s3-backup:") for line in lines), lines
    else:
        assert read_config.backup_groups
        names = [bucket.name for bucket in read_config.buckets]
        assert len({*names, read_config.backup_bucket}) == len(names) + 1


def follows_the_rules(name: str) -> bool:
    """S3's rules once more, in other words: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
    parts = name.split(".")
    return (
        "" not in parts
        and not (len(parts) == 4 and all(part.isdigit() and len(part) < 4 for part in parts))
        and not any(name.startswith(start) for start in ("xn--", "sthree-", "amzn-s3-demo-"))
        and not any(
            name.endswith(end)
            for end in ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")
        )
    )


ENDS = st.sampled_from("abcxyz0189")
MIDDLES = st.text(st.sampled_from("abcxyz0189.-"), min_size=1, max_size=61)


@given(st.tuples(ENDS, MIDDLES, ENDS).map("".join).filter(follows_the_rules))
def test_names_made_by_the_rules_are_accepted(name: str) -> None:
    assert read(buckets=[name], backupBucket="the--backups").buckets[0].name == name


class NoCloud:
    """Fails the test when anything is to be created."""

    def create(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Created:
        raise AssertionError(f"created {type_} {name}")

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError(f"called {token}")


def test_a_stack_with_mistakes_ends_in_a_run_error_before_anything_is_declared() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    config = {**BASE, "memory": 1, "buckets": ["photos", "Videos"], "retentionDay": 5}
    with pytest.raises(pulumi.RunError) as caught:
        deploy(ROOT, "qa", stack_config.render(project, config, "qa"), NoCloud())
    assert str(caught.value) == (
        "the stack's config has mistakes:\n"
        f'Pulumi.qa.yaml: s3-backup:buckets[1]: "Videos": {LETTERS}\n'
        'Pulumi.qa.yaml: s3-backup:memory: "1": too small; use 128 or more\n'
        'Pulumi.qa.yaml: s3-backup:retentionDay: "5": unknown key; '
        f"remove it or correct its spelling; known here: {KNOWN}"
    )
    # No cause, hence no "during handling of the above exception" either.
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def declarations() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def test_every_setting_is_declared_and_described_in_the_project_file() -> None:
    fields = [field.alias or name for name, field in Settings.model_fields.items()]
    assert list(declarations()) == fields
    assert all(len(declared["description"]) > 30 for declared in declarations().values())


def test_declared_defaults_are_those_of_the_settings_and_required_ones_have_none() -> None:
    declared = {
        name: declaration["default"]
        for name, declaration in declarations().items()
        if "default" in declaration
    }
    assert declared == {
        "encryption": "kms",
        "retentionDays": 365,
        "storageClass": "STANDARD",
        "objectLock": {},
        "trackDeletes": False,
        "breakGlassRoleArn": "",
        "deployerRoleArns": [],
        "accessLogs": True,
        "accessLogRetentionDays": 365,
        "audit": False,
        "permissionsBoundaryArn": "",
        "vpc": {},
        "codeSigning": False,
        "tracing": False,
        "logRetentionDays": 365,
        "memory": 512,
        "timeout": 900,
        "reservedConcurrency": -1,
        "bucketMetrics": True,
        "batchOperations": False,
        "delivery": "direct",
        "queueBatchSize": 100,
        "queueBatchWindow": 1,
        "queueMaxConcurrency": -1,
        "alarms": {},
        "dashboard": False,
        "drill": {},
        "events": {},
    }
    required = [field.alias for field in Settings.model_fields.values() if field.is_required()]
    assert required == ["backupBucket", "buckets"]
    assert {*declared, *required} == declarations().keys()
    assert read(**declared) == read()


def own_keys(project: Path, stack: str) -> dict[str, str]:
    prefix = f"{settings.NAMESPACE}:"
    return {
        key.removeprefix(prefix): value
        for key, value in stack_config.load(project, stack).items()
        if key.startswith(prefix)
    }


def test_the_stack_that_comes_along_is_valid() -> None:
    config = parse(own_keys(ROOT, "prod"), file=FILE)
    assert [len(group) for group in config.backup_groups] == [4]
    assert config.object_lock == ObjectLock(mode="GOVERNANCE", days=30)
    assert config.timeout == 900


@pytest.mark.parametrize("entry", [{"suffix": "*.pdf"}, {"prefix": "uploads/*"}, {"prefix": "a?"}])
def test_a_pattern_is_refused_because_it_would_back_up_nothing(entry: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="a filter is plain text, not a pattern"):
        parse(
            {"backupBucket": "my-backups", "buckets": [{"name": "photos", **entry}]},
            file="Pulumi.prod.yaml",
        )


def test_an_object_that_names_a_key_twice_is_refused_because_one_would_be_lost() -> None:
    buckets = '[{"name": "photos", "name": "films"}]'
    with pytest.raises(ConfigError, match="not a list"):
        parse({"backupBucket": "my-backups", "buckets": buckets}, file="Pulumi.prod.yaml")
