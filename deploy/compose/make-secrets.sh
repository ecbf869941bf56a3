#!/bin/sh
# Makes the keys and passwords of docker-compose.yml, each in a file of ./secrets; leaves those that are there.
# Back the directory up with the data, above all installation_key: without it nobody is recognised again.
set -eu
umask 077
directory=${1:-secrets}
mkdir -p "$directory"
cd "$directory"

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
# Readable in the containers, whose users are others; the directory itself is the owner's alone.
keep() { [ -e "$1" ] || { printf '%s\n' "$2" >"$1" && chmod 444 "$1"; }; }

keep installation_key "$(random 32)"
keep write_key "ff_wk_$(random 20)"
keep secret_key "ff_sk_$(random 20)"
keep clickhouse_password "$(random 20)"
keep postgres_password "$(random 20)"
keep store_url "clickhouse://footfall:$(cat clickhouse_password)@clickhouse:8123/footfall"
keep workspace_url "postgresql://footfall:$(cat postgres_password)@postgres:5432/footfall"
