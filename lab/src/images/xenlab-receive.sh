#!/bin/sh
# xl migrate -s 'xenlab-receive RATE' … localhost: the receiver on this host.
# RATE is in bytes per second, 0 for none. xl appends the host and the command.
# With XENLAB_TAP set, what crosses the wire is written to that file (not for rate 0).
rate=$1
shift 2
[ "$rate" = 0 ] && exec "$@"
exec xenlab-shape "$rate" ${XENLAB_TAP:+--tap "$XENLAB_TAP"} -- "$@"
