#!/bin/busybox sh
# Runs inside the emulated host, behind run-monitor.sh: the real kernel.
