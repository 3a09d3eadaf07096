#!/usr/bin/perl
# A receiver that takes 20 MB and then no more, and builds no domain.
$| = 1;
print "xl migration receiver ready, send binary domain data.\n";
for (my $got = 0; $got < 20_000_000;) {
    $got += sysread(STDIN, my $bytes, 65536) || exit;
}
open my $told, '>', '/root/stalled';
sleep 1000;
