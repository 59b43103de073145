#!/bin/sh
# Runs a program where nothing can be written but the folders named before `--`: readonly.sh FOLDER... -- PROGRAM [ARGUMENT...]
set -eu
mount --make-rprivate /
writable=""
while [ "$1" != "--" ]; do
    mount --bind "$1" "$1"
    writable="$writable $1 "
    shift
done
shift
# the kernel's own file systems are no disks
awk '$3 !~ /^(proc|sysfs|devtmpfs|devpts|mqueue|cgroup2?|securityfs)$/ && $2 !~ /^\/(dev|proc|sys)/ { print $2 }' /proc/self/mounts | sort -u |
    while read -r point; do
        case "$writable" in
        *" $point "*) ;;
        *) mount -o remount,bind,ro "$point" ;;
        esac
    done
exec "$@"
