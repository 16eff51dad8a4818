"""Prints what the stack costs per month.

`python docs/cost.py [OBJECTS] [GIGABYTES] [OBJECTS OF A JOB] [queue] [audit] [drill]`.

Prices in US dollars, region us-east-1, without free tier, as listed in November 2026 on
https://aws.amazon.com/s3/pricing/, /lambda/pricing/, /kms/pricing/, /sqs/pricing/,
/cloudwatch/pricing/ and /cloudtrail/pricing/.
"""

import sys

# One copy is one HEAD and one COPY, assumed to take a warm function of 512 MiB on arm64 0.1 s;
# measured durations are in the REPORT lines of the function's log group.
SECONDS_PER_OBJECT = 0.1
MEMORY_GIB = 0.5
LOG_BYTES_PER_OBJECT = 1_400
# Three requests to a source and one to the backup bucket, a line of some 600 bytes each, kept for a
# year.
ACCESS_LOG_BYTES_PER_OBJECT = 4 * 600
ACCESS_LOG_MONTHS = 12
BUCKETS = 3
# BackedUp, Bytes and Lag, of the stack and of each bucket; the others exist only where they occur.
METRICS = 3
METRICS_PER_BUCKET = 3
# Those of docs/alarms.md that are there by default, for one function.
ALARMS = 8
# Each event is sent, received and deleted, if it comes alone. Beside that Lambda asks an empty
# queue five times in 20 seconds, which is as much as it does while there is nothing to do.
QUEUE_REQUESTS_PER_OBJECT = 3
IDLE_REQUESTS = 5 * 3 * 60 * 730
# The upload, HEAD, COPY and the invocation; what other people read comes on top. Compressed, an
# event takes some 300 bytes.
AUDIT_EVENTS_PER_OBJECT = 4
AUDIT_BYTES_PER_EVENT = 300
# The defaults. Of each object four listings, a copy, and some ten reads of it and its tags;
# DrillCompleted and DrillFindings of each bucket.
DRILLS = 30 / 7
DRILLED_OBJECTS = 20
DRILL_METRICS_PER_BUCKET = 2


def rows(
    objects: int, gigabytes: float, delivery: str, *, audit: bool, drill: bool, job_objects: int
) -> list[tuple[str, str, float]]:
    """Each cost with its arithmetic.

    :param objects: objects created in the month.
    :param gigabytes: size of all kept backup versions.
    :param delivery: as in the stack's config, `direct` or `queue`.
    :param audit: as in the stack's config.
    :param drill: whether the stack drills, with the defaults.
    :param job_objects: objects that a job of S3 Batch Operations goes through in the month; its
        copies are part of `objects`.
    """
    lambda_seconds = objects * SECONDS_PER_OBJECT * MEMORY_GIB
    log_gigabytes = objects * LOG_BYTES_PER_OBJECT / 1e9
    access_log_gigabytes = objects * ACCESS_LOG_BYTES_PER_OBJECT * ACCESS_LOG_MONTHS / 1e9
    return [
        ("KMS key", "1 x 1.00", 1.00),
        ("S3 HEAD", f"{objects:,} x 0.0004 / 1,000", objects * 0.0004 / 1000),
        ("S3 COPY", f"{objects:,} x 0.005 / 1,000", objects * 0.005 / 1000),
        *queue_rows(objects, delivery),
        ("Lambda requests", f"{objects:,} x 0.20 / 1,000,000", objects * 0.20 / 1e6),
        (
            "Lambda time",
            f"{lambda_seconds:,.0f} GB-s x 0.0000133334",
            lambda_seconds * 0.0000133334,
        ),
        (
            "Metrics",
            f"({METRICS} + {BUCKETS} buckets x {METRICS_PER_BUCKET}) x 0.30",
            (METRICS + BUCKETS * METRICS_PER_BUCKET) * 0.30,
        ),
        ("Alarms", f"{ALARMS} x 0.10", ALARMS * 0.10),
        ("Logs", f"{log_gigabytes:.2f} GB x 0.50", log_gigabytes * 0.50),
        (
            "Access logs, after a year",
            f"{access_log_gigabytes:.1f} GB x 0.023",
            access_log_gigabytes * 0.023,
        ),
        *(audit_rows(objects) if audit else []),
        *(drill_rows() if drill else []),
        ("S3 storage", f"{gigabytes:,.0f} GB x 0.023", gigabytes * 0.023),
        *job_rows(job_objects),
    ]


def queue_rows(objects: int, delivery: str) -> list[tuple[str, str, float]]:
    """What only a queue costs."""
    if delivery == "direct":
        return []
    requests = objects * QUEUE_REQUESTS_PER_OBJECT + IDLE_REQUESTS
    arithmetic = (
        f"({objects:,} x {QUEUE_REQUESTS_PER_OBJECT} + {IDLE_REQUESTS:,}) x 0.40 / 1,000,000"
    )
    return [("SQS requests", arithmetic, requests * 0.40 / 1e6)]


def audit_rows(objects: int) -> list[tuple[str, str, float]]:
    """What only an audit costs, if the account's management events are free (its first trail)."""
    events = objects * AUDIT_EVENTS_PER_OBJECT
    gigabytes = events * AUDIT_BYTES_PER_EVENT * ACCESS_LOG_MONTHS / 1e9
    return [
        (
            "CloudTrail data events",
            f"{objects:,} x {AUDIT_EVENTS_PER_OBJECT} x 0.10 / 100,000",
            events * 0.10 / 1e5,
        ),
        ("Audit records, after a year", f"{gigabytes:.1f} GB x 0.023", gigabytes * 0.023),
    ]


def drill_rows() -> list[tuple[str, str, float]]:
    """What only drills cost; the time of their functions is some seconds."""
    objects = round(BUCKETS * DRILLED_OBJECTS * DRILLS)
    return [
        (
            "S3 requests of drills",
            f"{objects:,} x (5 x 0.005 + 10 x 0.0004) / 1,000",
            objects * (5 * 0.005 + 10 * 0.0004) / 1000,
        ),
        (
            "Metrics of drills",
            f"{BUCKETS} buckets x {DRILL_METRICS_PER_BUCKET} x 0.30",
            BUCKETS * DRILL_METRICS_PER_BUCKET * 0.30,
        ),
    ]


def job_rows(objects: int) -> list[tuple[str, str, float]]:
    """What only a job of S3 Batch Operations costs."""
    if not objects:
        return []
    arithmetic = f"0.25 + {objects:,} x 1.00 / 1,000,000"
    return [("Batch Operations job", arithmetic, 0.25 + objects / 1e6)]


def table(
    objects: int,
    gigabytes: float,
    delivery: str = "direct",
    *,
    audit: bool = False,
    drill: bool = False,
    job_objects: int = 0,
) -> str:
    """The costs as a Markdown table."""
    costs = rows(objects, gigabytes, delivery, audit=audit, drill=drill, job_objects=job_objects)
    total = sum(cost for _, _, cost in costs)
    lines = [f"| {name} | {arithmetic} | {cost:.2f} |" for name, arithmetic, cost in costs]
    head = ["| what | arithmetic | $ per month |", "| --- | --- | ---: |"]
    return "\n".join([*head, *lines, f"| **sum** | | **{total:.2f}** |"])


if __name__ == "__main__":
    features = {"queue", "audit", "drill"} & set(sys.argv[1:])
    objects, gigabytes, job_objects, *_ = [
        *(argument for argument in sys.argv[1:] if argument not in features),
        *("1000000", "100", "0")[len(sys.argv) - 1 - len(features) :],
    ]
    print(
        table(
            int(objects),
            float(gigabytes),
            "queue" if "queue" in features else "direct",
            audit="audit" in features,
            drill="drill" in features,
            job_objects=int(job_objects),
        )
    )
