# What the processes of the product may do: read their settings, nothing else.
# vault policy write ossature-read deploy/vault/read.hcl
path "secret/data/ossature" {
  capabilities = ["read"]
}
