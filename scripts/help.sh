#!/bin/sh
# Prints the head of the script that sources it, and ends it, where -h or --help is asked for.
#   . "$(dirname -- "$0")/help.sh"
head_of() { # head_of FILE: its first comment, without the signs
    sed -n '2,${/^#/!q;s/^# \{0,1\}//p;}' "$1"
}
case $0 in
help.sh | */help.sh) set -- --help ;;
esac
case ${1:-} in
-h | --help)
    head_of "$0"
    exit 0
    ;;
esac
