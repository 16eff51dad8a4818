"""The topic: encrypted, for alarms only, and for whoever wants to hear of them."""

import pytest

from components import NotificationTopic, NotificationTopicArgs, Subscription
from tests.recorder import ACCOUNT, KEY_ARN, REGION, Recording, policy, record

TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms-0000000"


def topic(*subscriptions: Subscription) -> Recording:
    args = NotificationTopicArgs(
        kms_key_arn=KEY_ARN, subscriptions=list(subscriptions), tags={"a": "b"}
    )
    return record(lambda: NotificationTopic("alarms", args))


def test_a_topic_is_encrypted_and_has_a_policy() -> None:
    recording = topic()
    assert recording.children(recording.one("index:NotificationTopic")) == [
        ("aws:sns/topic:Topic", "alarms"),
        ("aws:sns/topicPolicy:TopicPolicy", "alarms-policy"),
    ]
    assert recording.one("sns/topic:Topic").inputs == {
        "kmsMasterKeyId": KEY_ARN,
        "tags": {"a": "b"},
    }
    assert recording.one("index:NotificationTopic").outputs == {"topic_arn": TOPIC_ARN}


def test_only_alarms_of_this_account_and_region_may_publish_and_over_tls_only() -> None:
    resource = topic().one("TopicPolicy")
    assert resource.inputs["arn"] == TOPIC_ARN
    assert policy(resource)["Statement"] == [
        {
            "Sid": "AllowAlarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": TOPIC_ARN,
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"},
            },
        },
        {
            "Sid": "DenyEverybodyElse",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sns:Publish",
            "Resource": TOPIC_ARN,
            "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
        },
        {
            "Sid": "DenyInsecureTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["sns:Publish", "sns:Subscribe"],
            "Resource": TOPIC_ARN,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]


def test_everybody_who_wants_to_hears_of_alarms_and_no_name_tells_an_endpoint() -> None:
    recording = topic(
        {"protocol": "email", "endpoint": "team@example.com"},
        {"protocol": "https", "endpoint": "https://example.com/alarms?key=s3cret"},
        {"protocol": "https", "endpoint": "https://example.com/other"},
    )
    subscriptions = recording.all("TopicSubscription")
    assert sorted((r.inputs["protocol"], r.inputs["endpoint"]) for r in subscriptions) == [
        ("email", "team@example.com"),
        ("https", "https://example.com/alarms?key=s3cret"),
        ("https", "https://example.com/other"),
    ]
    assert {r.inputs["topic"] for r in subscriptions} == {TOPIC_ARN}
    assert not any("s3cret" in r.urn or "example" in r.urn for r in subscriptions)


def test_whoever_gets_the_arn_waits_for_the_policy() -> None:
    def program() -> None:
        made = NotificationTopic("alarms", {"kms_key_arn": KEY_ARN})
        NotificationTopic("user", {"kms_key_arn": made.topic_arn})

    recording = record(program)
    assert recording.waits_for(recording.one("sns/topic:Topic", "user")) == {
        "alarms",
        "alarms-policy",
    }


@pytest.mark.parametrize("missing", ["kms_key_arn"])
def test_there_is_no_topic_without_encryption(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        record(lambda: NotificationTopic("alarms", {}))  # pyright: ignore
