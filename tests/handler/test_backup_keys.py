"""Where things live in the backup bucket: no two in one place, none too long for S3."""

from hypothesis import given
from hypothesis import strategies as st

from handler import backup_keys

BUCKET = "a" * 63
DIGEST = 64
buckets = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)
keys = st.one_of(
    st.text(min_size=1, max_size=20),
    st.sampled_from(["/", "//", "../x", ".s3-backup/late/x", "a", "a/", "\x00"]),
    # About as long as fits, and the longest there are.
    st.integers(940, 1024).map("k".__mul__),
    st.integers(480, 512).map("\u00e9".__mul__),
).filter(lambda key: len(key.encode()) <= 1024)
objects = st.tuples(buckets, keys)
versions = st.text("abcXYZ019._", min_size=1, max_size=32)


@given(objects, objects)
def test_two_objects_never_share_a_place(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (backup_keys.backup_key(*one) == backup_keys.backup_key(*other)) == (one == other)
    assert (backup_keys.key_record(*one) == backup_keys.key_record(*other)) == (one == other)


@given(buckets, keys, keys)
def test_two_keys_of_a_bucket_never_share_a_place(bucket: str, one: str, other: str) -> None:
    same = backup_keys.backup_key(bucket, one) == backup_keys.backup_key(bucket, other)
    assert same == (one == other)


@given(objects, versions)
def test_every_place_fits_into_a_key_of_s3(source: tuple[str, str], version: str) -> None:
    for key in (
        backup_keys.backup_key(*source),
        backup_keys.key_record(*source),
        backup_keys.late_key(*source, version),
        backup_keys.provenance_key(*source, version),
        backup_keys.upload_record(*source, version),
    ):
        assert len(key.encode()) <= backup_keys.MAX_KEY_BYTES


@given(objects, objects, versions)
def test_reserved_places_are_nobodys_backup(
    one: tuple[str, str], other: tuple[str, str], version: str
) -> None:
    places = [
        backup_keys.backup_key(*one),
        backup_keys.key_record(*other),
        backup_keys.late_key(*other, version),
        backup_keys.provenance_key(*other, version),
        backup_keys.upload_record(*other, version),
    ]
    assert len(set(places)) == len(places)
    assert all(place.startswith(backup_keys.RESERVED) for place in places[1:])


@given(objects)
def test_a_key_is_told_by_its_place_or_by_a_record(source: tuple[str, str]) -> None:
    bucket, key = source
    place = backup_keys.backup_key(bucket, key)
    assert backup_keys.needs_key_record(bucket, key) != (place == f"{bucket}/{key}")


def test_only_a_key_that_would_not_fit_is_kept_elsewhere() -> None:
    fits = "k" * (1024 - len(BUCKET) - 1)
    assert backup_keys.backup_key(BUCKET, fits) == f"{BUCKET}/{fits}"
    assert not backup_keys.needs_key_record(BUCKET, fits)
    prefix = f".s3-backup/long/{BUCKET}/"
    place = backup_keys.backup_key(BUCKET, f"{fits}k")
    assert place.startswith(prefix)
    assert len(place) == len(prefix) + DIGEST
    # Bytes count, not characters.
    assert backup_keys.needs_key_record(BUCKET, "\u00e9" * 500)
