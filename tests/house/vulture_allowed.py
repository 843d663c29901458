"""Names that look unused and are not, each with its reason. Nothing here is run."""

ALLOWED = (
    lambda s3: s3.S3Client,  # stands in annotations only, in quotes: its package is not installed with the product
)
