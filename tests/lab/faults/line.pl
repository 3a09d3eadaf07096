# A line to `xl migrate-receive` that breaks: line.pl MOMENT FAULT [COMMAND...]
#
# Passes on what the two sides say until MOMENT, and that no more: `banner`, `ready` or `report` of
# the receiver, `header` or `permission` of the sender, a number of bytes of the sender, or `never`.
# SIGUSR1 is such a moment too. Then, if FAULT is `kill`, the receiver is killed; if it is `cut`, it
# is left with a line at whose other end there is nobody; if it is `stall`, nothing moves any more;
# if it is `late`, all goes on after 2 s. COMMAND stands before the receiver's.
use strict;
use IPC::Open2;
my ($moment, $fault, @command) = @ARGV;
my $receiver = open2(my $from, my $to, @command, qw(xl migrate-receive));
my %says = (banner => qr/^xl migration/, ready => qr/^domain received/, report => qr/^my copy/);
my ($sent, $ready, $hung_up) = (0, 0, 0);
$SIG{PIPE} = 'IGNORE';
$SIG{USR1} = \&break;

sub break {
    if ($fault eq "late") {
        $moment = "never";
        return sleep 2;
    }
    system qw(pkill -KILL -f), 'bin/xl migrate-receive' if $fault eq "kill";
    sleep 1000 if $fault eq "stall";
    exit 1;
}

sub pass {
    my ($to, $bytes) = @_;
    while (length $bytes) {
        my $written = syswrite $to, $bytes;
        break() unless defined $written;
        substr $bytes, 0, $written, "";
    }
}

while (1) {
    my $ready_to_read = "";
    vec($ready_to_read, fileno $_, 1) = 1 for $hung_up ? $from : (*STDIN, $from);
    select($ready_to_read, undef, undef, undef) > 0 or next;
    if (vec($ready_to_read, fileno $from, 1)) {
        sysread $from, my $bytes, 4096 or exit;
        break() if $says{$moment} && $bytes =~ $says{$moment};
        $ready ||= $bytes =~ $says{ready};
        pass(*STDOUT, $bytes);
    }
    if (!$hung_up && vec($ready_to_read, fileno STDIN, 1)) {
        $hung_up = !sysread STDIN, my $bytes, 65536;
        close $to if $hung_up;
        next if $hung_up;
        break() if $moment eq "header" || ($moment eq "permission" && $ready);
        $sent += length $bytes;
        break() if $moment =~ /^\d/ && $sent >= $moment;
        pass($to, $bytes);
    }
}
