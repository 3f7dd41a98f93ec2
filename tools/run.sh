#!/usr/bin/env bash
# Starts the server on ./data, loads the manual when the store is empty, asks one question and stays up. After `make build`.
set -euo pipefail
cd "$(dirname "$0")/.."
tessera=build/release/tessera
port=${PORT:-8080}
url=http://127.0.0.1:$port
question=${QUESTION:-Which file formats can Tessera read?}

if curl -fsS -o /dev/null "$url/health" 2>/dev/null; then
  echo "Something answers at $url already; stop it first, or choose another port: make run PORT=8081" >&2
  exit 1
fi
"$tessera" serve --port "$port" --data "${DATA:-data}" --log.level warn &
server=$!
# Ctrl-C reaches the server by itself (a second signal would cut its orderly end short); other ends are passed on.
trap 'wait $server; trap - EXIT; exit 0' INT
trap 'kill -TERM $server 2>/dev/null; wait $server' TERM EXIT
for _ in $(seq 400); do
  curl -fsS -o /dev/null "$url/health/ready" 2>/dev/null && break
  kill -0 $server 2>/dev/null || { wait $server; exit 1; }
  sleep 0.05
done

documents=$(curl -fsS "$url/api/vector_db/stats" | grep -oE '"documents":[0-9]+' | head -n 1 | cut -d: -f2)
if [ "$documents" = 0 ]; then
  echo
  echo "Loading the manual as a sample knowledge base"
  "$tessera" ingest --server "$url" docs/*.md docs/formats
fi
echo
"$tessera" ask --server "$url" "$question"
echo
echo "Ask in the browser: $url/"
echo "Ctrl-C stops the server."
wait $server
