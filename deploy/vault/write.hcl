# What the operator's `ossature secrets migrate` and `rotate` may do besides.
# vault policy write ossature-write deploy/vault/write.hcl
path "secret/data/ossature" {
  capabilities = ["create", "read", "update"]
}
