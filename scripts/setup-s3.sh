#!/usr/bin/env bash
# The S3 server of the tests, versitygw (Apache-2.0), into .deps/s3/.
set -euo pipefail
exec "$(dirname "$0")/setup-go-module.sh" .deps/s3 github.com/versity/versitygw/cmd/versitygw@v1.8.0
