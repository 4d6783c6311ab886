"""Buckets of the S3-compatible server that the fixture `store` starts."""

from __future__ import annotations

from typing import Any

import pyarrow.fs as pafs

SECRET = "nbtune-test-secret-7f3a"


def bucket(store: str, name: str) -> Any:
    """Create a bucket, and return the filesystem of the server."""
    server = {"endpoint_override": store, "scheme": "http", "region": "us-east-1"}
    credentials = {"access_key": "nbtune-test", "secret_key": SECRET}
    pafs.S3FileSystem(**server, **credentials, allow_bucket_creation=True).create_dir(name)
    return pafs.S3FileSystem(**server, **credentials)
