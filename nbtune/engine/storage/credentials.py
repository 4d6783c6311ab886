"""What a kernel's environment says about object stores, for processes that were started in another one."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["object_store_variables"]

_PREFIXES = ("AWS_", "GOOGLE_", "GCS_", "CLOUDSDK_", "AZURE_", "FSSPEC_")
_ALSO = frozenset({"STORAGE_EMULATOR_HOST"})
_NOT = ("AWS_LAMBDA_", "AWS_EXECUTION_ENV")  # what a kernel runs in, not where its data is
_PLAIN = frozenset({
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED", "AWS_SDK_LOAD_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT",
    "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CONFIG_DIR",
    "AZURE_FEDERATED_TOKEN_FILE", *_ALSO,
})  # fmt: skip


def object_store_variables(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables that say where object stores are and who asks: those that may be seen, and the secret ones.

    Ray logs a runtime environment now and then, so only what is known to be no secret may go into one.

    Args:
        environ: the kernel's environment.
    """
    found = {
        name: value
        for name, value in environ.items()
        if (name.startswith(_PREFIXES) or name in _ALSO) and not name.startswith(_NOT)
    }
    plain = {name: value for name, value in found.items() if name in _PLAIN}
    return plain, {name: value for name, value in found.items() if name not in _PLAIN}
