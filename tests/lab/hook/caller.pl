# A caller of the hook: caller.pl SOCKET SETTINGS WORD WHEN.
#
# Listens at SOCKET, answers the first line with SETTINGS (nothing if empty), prints what it hears,
# and at the first event WHEN says WORD, or goes away if that is `die`.
use strict;
use IO::Socket::UNIX;
$| = 1;
my ($path, $settings, $word, $when) = @ARGV;
my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!";
print "listening\n";
my $hook = $listener->accept or die "accept: $!";
while (my $line = <$hook>) {
    print $line;
    print $hook "$settings\n" if $settings ne "" && $line =~ /"schema"/;
    next unless $when ne "" && $line =~ /"event":"$when"/;
    exit if $word eq "die";
    print $hook "$word\n";
}
