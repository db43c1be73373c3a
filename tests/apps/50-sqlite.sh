#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The sqlite3 shell in an instance runs a script on a database file (WAL, locks, VACUUM, backup)
# and prints what it prints on this host.
. "$(dirname "$0")/lab.sh"
DIR=$LAB_TOP/tests/apps/sqlite
sqlite_image() { lab_import test-sqlite-base sqlite3 && lab_build test-sqlite test-sqlite-base "$DIR"; }
lab_images sqlite_image
lab_enter "$@"


script() {
    lab_run 100 test-sqlite
    same_file "the script prints what it prints natively" "$LAB_LOG" "$LAB_TMP/native"
    is "its exit status is the instance's" $LAB_STATUS $NATIVE_STATUS
    lab_run 60 test-sqlite /usr/bin/sqlite3 :memory: "select sqlite_version(), 6*7"
    matches "a query on the command line" "$(cat "$LAB_LOG")" '^3\.[0-9.]+\|42'
}

# Natively in a folder of its own: the script's /tmp is replaced.
sed "s|/tmp/|$LAB_TMP/|" "$DIR/script.sql" >"$LAB_TMP/script.sql"
(cd "$LAB_TMP" && timeout 60 sqlite3 -init "$LAB_TMP/script.sql" "$LAB_TMP/test.db") </dev/null >"$LAB_TMP/raw" 2>&1
NATIVE_STATUS=$?
sed "s|$LAB_TMP/script.sql|/srv/script.sql|; s|$LAB_TMP/|/tmp/|" "$LAB_TMP/raw" >"$LAB_TMP/native"
lab_each_platform script
lab_plan_end
