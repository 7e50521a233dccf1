# The other end of tests/perl_peer.rs: Socket::MsgHdr of Perl, over standard input, a unix socket.
use strict;
use warnings;
use Socket qw(SOL_SOCKET SCM_RIGHTS);
use Socket::MsgHdr;

open(my $peer, '+<&=', 0) or die "standard input: $!";

# What arrives is a text and a descriptor; the text goes into the descriptor.
my $in = Socket::MsgHdr->new(buflen => 64, controllen => 256);
defined recvmsg($peer, $in, 0) or die "recvmsg: $!";
my ($level, $type, $data, @more) = $in->cmsghdr();
die "one message of rights" if @more || $level != SOL_SOCKET || $type != SCM_RIGHTS;
my @fds = unpack 'i*', $data;
die "one descriptor" if @fds != 1;
open(my $pipe, '>&=', $fds[0]) or die "descriptor: $!";
print $pipe $in->buf, ' through perl';
close $pipe or die "close: $!";

# Back go two read ends with texts in them.
my @readers;
for my $text ('one', 'two') {
    pipe(my $reader, my $writer) or die "pipe: $!";
    print $writer $text;
    close $writer;
    push @readers, $reader;
}
my $out = Socket::MsgHdr->new(buf => 'two of perl');
$out->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack('i*', map { fileno $_ } @readers));
defined sendmsg($peer, $out, 0) or die "sendmsg: $!";
