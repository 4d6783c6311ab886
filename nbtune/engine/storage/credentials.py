"""Environment variables for object stores, copied from the kernel to processes that were started elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from nbtune.engine.storage.storage import has_credentials

__all__ = ["object_store_variables"]

_PREFIXES = ("AWS_", "GOOGLE_", "GCS_", "CLOUDSDK_", "AZURE_", "FSSPEC_")
_NAMES = frozenset({"STORAGE_EMULATOR_HOST"})
_EXCLUDED_PREFIXES = ("AWS_LAMBDA_", "AWS_EXECUTION_ENV")  # these describe the host of the kernel, not its storage
_PUBLIC = frozenset({
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE", "AWS_EC2_METADATA_DISABLED", "AWS_SDK_LOAD_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT",
    "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CONFIG_DIR",
    "AZURE_FEDERATED_TOKEN_FILE", *_NAMES,
})  # fmt: skip


def object_store_variables(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment variables that configure object stores, split into public and secret ones.

    Ray may log a runtime environment. Only variables that are known not to be secret may be part of one.

    Args:
        environ: the environment of the kernel.

    Returns:
        The public variables, and the secret ones: all that are not known to be public, and URLs with a password.
    """
    variables = {
        name: value
        for name, value in environ.items()
        if (name.startswith(_PREFIXES) or name in _NAMES) and not name.startswith(_EXCLUDED_PREFIXES)
    }
    public = {name: value for name, value in variables.items() if name in _PUBLIC and not has_credentials(value)}
    return public, {name: value for name, value in variables.items() if name not in public}
