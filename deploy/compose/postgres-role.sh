#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: the role under which requests come. `ossature migrate up` grants it
# what it needs.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$POSTGRES_APP_PASSWORD" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE ossature_app LOGIN PASSWORD :'password';
SQL
