"""Settings of files."""

from pydantic import Field, SecretStr

from ossature.kernel.config import Settings


class FileSettings(Settings, room="files"):
    """Where blobs lie and how large they may be."""

    folder: str = Field(default="files", description="Folder of the blobs, inside the var directory unless absolute.")
    max_bytes: int = Field(default=200 * 1024 * 1024, gt=0, description="A larger file is refused.")
    s3_bucket: str = Field(
        default="",
        description="Bucket for the blobs, in place of the folder; needs the extra [s3]. Make it beforehand.",
    )
    s3_prefix: str = Field(default="", description="What the names of all blobs in the bucket begin with.")
    s3_endpoint: str = Field(default="", description="Address of a store that speaks S3; empty is Amazon's.")
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_access_key: str = Field(default="", description="Its key; empty takes the role or profile of the machine.")
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="The secret of that key.")
    s3_time_limit_s: float = Field(default=30.0, gt=0, description="How long the store may take to answer.")
    compression_level: int = Field(default=6, ge=1, le=19, description="zstd level of what can be compressed.")
