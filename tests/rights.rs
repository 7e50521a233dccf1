//! Descriptors arrive whole, in order and usable, however they were given and whatever they are.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    iter::repeat_n,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            net::UnixStream,
        },
    },
    path::PathBuf,
    thread,
};

use ancillary::{
    ControlBuf, ControlList, ControlVec, MsgFlags, MsgHdr, MsgHdrMut, SocketExt,
    cmsg::{self, CmsgId},
    message::{Credentials, RecvList, ScmRights, ScmRightsSpace},
    parser::{self, ControlMessage},
};
use common::{
    TIMEOUT, has_descriptors, no_leak, open_count,
    pairs::{KINDS, pair, stream},
    pipes::{content, contents, is_cloexec, names, numbered},
};
use nix::{
    fcntl::OFlag,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::SockType,
    unistd::{pipe, pipe2},
};

fn temp_file(text: &str) -> File {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("ancillary-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

fn inode(fd: impl AsFd) -> (u64, u64) {
    let metadata = File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

/// FD01, FD11: the data whole, in a buffer that is larger than need be and in one that is just large enough
#[test]
fn one_descriptor_is_one_message_of_four_bytes() {
    no_leak(|| {
        for capacity in [10240, cmsg::space(4).unwrap()] {
            let (a, b) = stream();
            a.send_fds(b"hello", &numbered(1)).unwrap();
            let (mut data, mut control) = ([0; 64], ControlVec::<ScmRightsSpace<1>>::with_capacity(capacity));
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert!(!message.flags().intersects(MsgFlags::TRUNC | MsgFlags::CTRUNC));
            assert_eq!(message.data(), b"hello");
            let found: Vec<_> = message.cmsgs().map(|cmsg| (cmsg.id(), cmsg.payload().len())).collect();
            assert_eq!(found, [(CmsgId::new(libc::SOL_SOCKET, libc::SCM_RIGHTS), 4)]);
            assert_eq!(contents(message.take_fds()), ["0"]);
        }
    });
}

/// FD12
#[test]
fn standard_streams_arrive_in_another_thread() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let (stdin, stdout) = (io::stdin(), io::stdout());
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!((message.data(), message.cmsgs().count()), (&b"8 bytes!"[..], 1));
                let fds = message.take_fds_exact::<2>().unwrap();
                assert_eq!(fds.each_ref().map(inode), [inode(&stdin), inode(&stdout)]);
            });
            a.send_fds(b"8 bytes!", [stdin.as_fd(), stdout.as_fd()]).unwrap();
        });
    });
}

/// FD17
#[test]
fn a_datagram_socket_sends_itself() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        assert_eq!(a.send_fds(b"8 bytes!", [&a]).unwrap(), 8);
        let (mut data, mut control) = ([0; 64], ControlBuf::<()>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        message.require_complete().unwrap();
        assert_eq!((message.len(), message.cmsgs().count()), (8, 1));
        let [fd] = message.take_fds_exact().unwrap();
        assert_eq!(inode(&fd), inode(&a));
        MsgHdr::new().data(b"by itself").send(&fd).unwrap();
        assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().data(), b"by itself");
    });
}

/// FD02, FD03, FD21, FD23, FD42
#[test]
fn all_descriptors_arrive_in_order_usable_and_close_on_exec() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(4);
            a.send_fds(b"data", &fds).unwrap();
            let (mut data, mut control) =
                ([0; 8], ControlBuf::<ScmRightsSpace<4>, { <ScmRightsSpace<4> as RecvList>::SPACE }>::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.data(), message.require_complete().is_ok()), (&b"data"[..], true));
            assert_eq!(message.extract(), Some(ScmRightsSpace { count: 4 }));
            assert_eq!(message.cmsgs().count(), 1);
            assert_eq!(message.fds().count(), 4);
            assert!(message.fds().all(is_cloexec));
            assert_eq!(contents(message.take_fds()), names(0..4), "{kind:?}");
            assert_eq!((message.fds().count(), message.take_fds().count()), (0, 0));
        }
    });
}

#[test]
fn a_message_carries_253_descriptors() {
    if !has_descriptors("a_message_carries_253_descriptors") {
        return;
    }
    type Many = ScmRightsSpace<253>;
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let file = temp_file("x");
            let fds = std::iter::repeat_n(&file, 253);
            a.send_fds(b"x", fds.clone()).unwrap();
            let (mut data, mut control) = ([0; 1], ControlBuf::<Many, { <Many as RecvList>::SPACE }>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert!(message.require_complete().is_ok());
            assert!(message.fds().count() == 253 && message.fds().all(|fd| inode(fd) == inode(&file)));
            a.send_fds(b"x", fds).unwrap();
            let message = b.recv_fds::<253>(&mut data).unwrap();
            assert_eq!((message.fds().count(), message.flags().contains(MsgFlags::CTRUNC)), (253, false));
            assert_eq!(message.into_iter().take(100).count(), 100);
        }
    });
}

/// FD05, FD14
#[test]
fn rights_given_separately_arrive_as_one_in_order() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(6);
            let mut header = MsgHdr::new();
            header.data(b"x").control(ScmRights::new(&fds[..1]));
            header.control(ScmRights::new(&fds[1..4])).control(ScmRights::new(&fds[4..]));
            header.send(&a).unwrap();
            drop(fds);
            let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
            let mut message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!(message.cmsgs().count(), 1);
            assert_eq!(contents(message.take_fds()), names(0..6), "{kind:?}");
        }
    });
}

#[test]
fn as_many_descriptors_as_a_message_carries_may_be_given_separately() {
    no_leak(|| {
        let null = File::open("/dev/null").unwrap();
        let (few, many) = (ScmRights::new(repeat_n(&null, 53)), ScmRights::new(repeat_n(&null, 200)));
        let mut bytes = [0; 2048];
        let len = cmsg::encode(&(&few, &many), &mut bytes).unwrap();
        assert_eq!(cmsg::encode(&(&few, &many), &mut bytes[..len]), Ok(len), "exactly so much room will do");
        assert!(cmsg::encode(&(&few, &many), &mut vec![0; len - 1]).is_err());
        let [ControlMessage::ScmRights(rights)] = parser::parse(&bytes[..len]).collect::<Vec<_>>()[..] else {
            panic!("one message: {:?}", parser::parse(&bytes[..len]));
        };
        assert!(rights.iter().eq(repeat_n(null.as_raw_fd(), 253)));
    });
}

/// FD05, CR02
#[test]
fn rights_with_other_messages_between_arrive_as_one_in_order() {
    no_leak(|| {
        for kind in KINDS {
            for counts in [[1, 1, 1], [1, 2, 3], [2, 1, 2], [3, 3, 1], [0, 1, 4], [2, 0, 0]] {
                let (a, b) = pair(kind);
                b.enable::<Credentials>().unwrap();
                let total = counts.iter().sum();
                let fds = numbered(total);
                let (first, rest) = fds.split_at(counts[0]);
                let (second, third) = rest.split_at(counts[1]);
                let mut header = MsgHdr::new();
                header.data(b"x").control((ScmRights::new(first), Credentials::own(), ScmRights::new(second)));
                header.control(ScmRights::new(third));
                header.send(&a).unwrap();
                let (mut data, mut control) = ([0; 1], ControlBuf::<(Credentials, ScmRightsSpace<7>)>::new());
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                let extracted = message.extract();
                assert_eq!(extracted, (Some(Credentials::own()), Some(ScmRightsSpace { count: total })));
                assert_eq!(message.cmsgs().count(), 2);
                assert_eq!(contents(message.take_fds()), names(0..total), "{kind:?} {counts:?}");
            }
        }
    });
}

#[test]
fn an_encoded_list_can_be_sent_many_times_and_joined_with_more() {
    no_leak(|| {
        let (a, b) = stream();
        let (file, other) = (temp_file("x"), temp_file("y"));
        let list = ControlList::new((ScmRights::new([&file]), Credentials::own())).unwrap();
        for joined in [false, true, false] {
            let mut header = MsgHdr::new();
            header.data(b"x").control_from(&list);
            if joined {
                header.control(ScmRights::new([&other]));
            }
            header.send(&a).unwrap();
            let mut message = b.recv_fds::<2>(&mut [0; 1]).unwrap().into_iter().map(inode);
            assert_eq!(message.next(), Some(inode(&file)));
            assert_eq!(message.next(), joined.then(|| inode(&other)));
        }
    });
}

#[test]
fn a_slice_and_an_iterator_of_descriptors_make_the_same_bytes_and_no_others() {
    no_leak(|| {
        let owned = numbered(35);
        let borrowed: Vec<_> = owned.iter().map(AsFd::as_fd).collect();
        // Few and many go different ways.
        for count in (0..=9).chain(15..=18).chain(31..=35) {
            let numbers: Vec<u8> = owned[..count].iter().flat_map(|fd| fd.as_raw_fd().to_ne_bytes()).collect();
            let space = if count > 0 { cmsg::space(numbers.len()).unwrap() } else { 0 };
            let encoded = |rights: &dyn for<'a> Fn(&'a mut [u8]) -> usize| {
                let mut bytes = [0xff; 256];
                assert_eq!(rights(&mut bytes), space);
                assert!(bytes[space..].iter().all(|byte| *byte == 0xff));
                bytes
            };
            let one_by_one =
                encoded(&|bytes| cmsg::encode(&ScmRights::new(owned[..count].iter().map(AsFd::as_fd)), bytes).unwrap());
            let payload = &one_by_one[cmsg::len(0).unwrap().min(space)..space];
            assert_eq!(payload[..numbers.len()], numbers);
            assert!(payload[numbers.len()..].iter().all(|byte| *byte == 0), "padding");
            assert_eq!(encoded(&|bytes| cmsg::encode(&ScmRights::new(&owned[..count]), bytes).unwrap()), one_by_one);
            assert_eq!(encoded(&|bytes| cmsg::encode(&ScmRights::new(&borrowed[..count]), bytes).unwrap()), one_by_one);
        }
    });
}

#[test]
fn another_number_than_a_header_says_takes_none() {
    no_leak(|| {
        let ((a, b), fds) = (stream(), numbered(40));
        let mut control = ControlVec::<ScmRightsSpace<253>>::new();
        a.send_fds(b"40", &fds).unwrap();
        let mut data = [0; 2];
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        for expected in [0, 39, 41] {
            let error = message.take_fds().exactly(expected).map(drop).unwrap_err();
            assert_eq!((error.expected, error.found), (expected, 40));
        }
        assert_eq!(contents(message.take_fds().exactly(40).unwrap()), names(0..40));
        assert_eq!(message.take_fds().exactly(0).unwrap().count(), 0);
        // Of what has been taken already nothing is counted.
        a.send_fds(b"40", &fds).unwrap();
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        assert_eq!(message.take_fds().take(38).count(), 38);
        assert_eq!(message.take_fds().exactly(40).map(drop).unwrap_err().found, 2);
        assert_eq!(message.take_fds().exactly(2).unwrap().count(), 2);
    });
}

/// FD07
#[test]
fn no_descriptors_at_all_emit_no_message() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            assert_eq!(a.send_fds(b"data", &[] as &[OwnedFd]).unwrap(), 4);
            let (mut data, mut control) = ([0; 4], ControlBuf::<()>::new());
            let message = b.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.data(), message.cmsgs().count(), message.fds().count()), (&b"data"[..], 0, 0));
            assert!(message.require_complete().is_ok());
        }
    });
}

#[test]
fn more_descriptors_than_asked_for_are_closed_and_flagged() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            for sent in 0..=5 {
                a.send_fds(b"xy", &numbered(sent)).unwrap();
                let before = open_count();
                let message = b.recv_fds::<3>(&mut [0; 2]).unwrap();
                assert_eq!(message.len(), 2);
                assert_eq!(open_count(), before + sent.min(3));
                assert_eq!(message.flags().contains(MsgFlags::CTRUNC), sent > 3);
                assert!(message.fds().all(is_cloexec));
                assert_eq!(contents(message.into_iter()), names(0..sent.min(3)));
            }
            a.send_fds(b"x", &numbered(1)).unwrap();
            let message = b.recv_fds::<0>(&mut [0; 1]).unwrap();
            assert!(message.flags().contains(MsgFlags::CTRUNC) && message.fds().next().is_none());
            a.send_fds(b"x", &numbered(2)).unwrap();
            drop(b.recv_fds::<2>(&mut [0; 1]).unwrap());
            a.send_fds(b"x", &numbered(2)).unwrap();
            drop(b.recv_fds::<2>(&mut [0; 1]).unwrap().into_iter().next());
        }
    });
}

/// FD10
#[test]
fn ten_descriptors_arrive_where_twenty_may() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let (readers, writers): (Vec<_>, Vec<_>) = (0..10).map(|_| pipe().unwrap()).unzip();
            a.send_fds(b"hello", &readers).unwrap();
            let mut data = [0; 10];
            let message = b.recv_fds::<20>(&mut data).unwrap();
            assert_eq!((message.len(), &data[..5], message.fds().count()), (5, &b"hello"[..], 10));
            assert!(!message.flags().intersects(MsgFlags::TRUNC | MsgFlags::CTRUNC));
            for (k, writer) in writers.into_iter().enumerate() {
                File::from(writer).write_all(k.to_string().as_bytes()).unwrap();
            }
            assert_eq!(contents(message.into_iter()), names(0..10));
        }
    });
}

/// FD24
#[test]
fn the_sender_may_close_its_own_while_the_message_is_in_flight() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let file = temp_file("in flight");
            let sent = inode(&file);
            a.send_fds(b"x", [&file]).unwrap();
            drop(file);
            drop(a);
            let mut received = b.recv_fds::<1>(&mut [0; 1]).unwrap().into_iter();
            let fd = received.next().unwrap();
            assert_eq!((inode(&fd), content(fd).as_str()), (sent, "in flight"));
        }
    });
}

/// FD25
#[test]
fn a_message_that_nobody_reads_leaves_nothing_behind() {
    no_leak(|| {
        for kind in KINDS {
            let ((a, b), (reader, writer)) = (pair(kind), pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap());
            a.send_fds(b"x", [&OwnedFd::from(temp_file("x")), &writer]).unwrap();
            drop((writer, a, b));
            // The end of the pipe; while a writer were open it would be EAGAIN.
            assert_eq!(content(reader), "");
        }
    });
}

/// FD28
#[test]
fn two_messages_keep_their_descriptors_apart() {
    no_leak(|| {
        for kind in KINDS {
            let (a, b) = pair(kind);
            let fds = numbered(2);
            a.send_fds(b"one", [&fds[0]]).unwrap();
            a.send_fds(b"two", [&fds[1]]).unwrap();
            drop(fds);
            let mut control = ControlBuf::<()>::new();
            for (text, number) in [(&b"one"[..], "0"), (b"two", "1")] {
                let mut data = [0; 64];
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!(message.data(), text, "{kind:?}");
                assert_eq!(contents(message.take_fds()), [number]);
            }
        }
    });
}

/// FD29
#[test]
fn a_socket_can_travel_over_itself_or_in_a_cycle() {
    no_leak(|| {
        for kind in KINDS {
            // Received.
            let (a, b) = pair(kind);
            a.send_fds(b"x", [&a]).unwrap();
            drop(a);
            let message = b.recv_fds::<1>(&mut [0; 1]).unwrap();
            let a = UnixStream::from(message.into_iter().next().unwrap());
            MsgHdr::new().data(b"y").send(&a).unwrap();
            assert_eq!(b.recv_msg(&mut [0; 1], &mut ControlBuf::<()>::new()).unwrap().data(), b"y");
            // Never received: each over itself, and two pairs crosswise.
            let (a, b) = pair(kind);
            a.send_fds(b"x", [&a, &b]).unwrap();
            b.send_fds(b"x", [&a, &b]).unwrap();
            drop((a, b));
            let ((a, b), (c, d)) = (pair(kind), pair(kind));
            a.send_fds(b"x", [&c, &d]).unwrap();
            c.send_fds(b"x", [&a, &b]).unwrap();
        }
    });
}

/// FD36: nothing of ours keeps what the kernel can free
#[test]
fn sockets_in_flight_in_a_circle_are_freed() {
    // Which socket is in flight to which; a pair for each.
    const TRIANGLE: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 0)];
    const CROSSED: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 0), (1, 3), (3, 2)];
    const BEHIND_A_CIRCLE: &[(usize, usize)] = &[(1, 0), (0, 2), (2, 1), (3, 2), (4, 3), (3, 4)];
    no_leak(|| {
        for kind in KINDS {
            for graph in [TRIANGLE, CROSSED, BEHIND_A_CIRCLE] {
                let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
                let pairs: Vec<_> = (0..5).map(|_| pair(kind)).collect();
                for &(sent, to) in graph {
                    pairs[to].1.send_fds(b"x", [&pairs[sent].0]).unwrap();
                }
                pairs[0].1.send_fds(b"x", [&writer]).unwrap();
                drop((pairs, writer));
                // The pipe ends once the kernel has collected the circle that holds its other end.
                let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
                let limit = PollTimeout::try_from(TIMEOUT.unwrap()).unwrap();
                assert_eq!(poll(&mut fds, limit).unwrap(), 1, "{kind:?} {graph:?}");
                assert_eq!(content(reader), "");
            }
        }
    });
}

/// FD49
#[test]
fn a_plain_read_of_a_message_with_descriptors_leaks_nothing() {
    no_leak(|| {
        for kind in KINDS {
            let (a, mut b) = pair(kind);
            let fds = numbered(2);
            a.send_fds(b"data", &fds).unwrap();
            a.send_fds(b"more", &fds).unwrap();
            let before = open_count();
            let mut data = [0; 4];
            b.read_exact(&mut data).unwrap();
            assert_eq!((&data, open_count()), (b"data", before));
            assert_eq!(b.recv_fds::<2>(&mut data).unwrap().fds().count(), 2);
            assert_eq!(&data, b"more");
        }
    });
}

/// FD54
#[test]
fn descriptors_of_any_kind_pass_and_duplicates_share_their_offset() {
    no_leak(|| {
        let (a, b) = stream();
        let path = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/dev/null").unwrap();
        // SAFETY: epoll_create1 takes an int.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0);
        // SAFETY: the call has just given it to us alone.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let mut file = temp_file("0123456789");
        let fds = [path.as_fd(), epoll.as_fd(), file.as_fd(), file.as_fd(), a.as_fd(), b.as_fd()];
        a.send_fds(b"x", fds).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
        let mut message = b.recv_msg(&mut data, &mut control).unwrap();
        let received = message.take_fds_exact::<6>().unwrap();
        let mut raw: Vec<_> = received.iter().map(AsRawFd::as_raw_fd).collect();
        raw.sort_unstable();
        raw.dedup();
        assert_eq!(raw.len(), 6);
        let [path, epoll, one, two, _, _] = received;
        let targets = [&path, &epoll].map(|fd| fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap());
        assert_eq!(targets, ["/dev/null", "anon_inode:[eventpoll]"].map(PathBuf::from));
        let (mut one, mut two, mut three) = (File::from(one), File::from(two), [0; 3]);
        one.seek(SeekFrom::Start(2)).unwrap();
        two.read_exact(&mut three).unwrap();
        assert_eq!((&three, file.stream_position().unwrap()), (b"234", 5));
    });
}

/// FD22
#[test]
fn the_same_descriptor_twice_arrives_twice() {
    no_leak(|| {
        let (a, b) = pair(SockType::Datagram);
        let file = temp_file("x");
        MsgHdr::new().data(b"x").control(ScmRights::new([&file, &file])).send(&a).unwrap();
        let before = open_count();
        let received: Vec<_> = b.recv_fds::<2>(&mut [0; 1]).unwrap().into_iter().collect();
        assert_eq!(open_count(), before + 2);
        assert!(received.iter().all(|fd| inode(fd) == inode(&file)));
    });
}

/// FD21: with the flag left out
#[test]
fn inheritable_descriptors_are_not_close_on_exec() {
    no_leak(|| {
        let (a, b) = stream();
        a.send_fds(b"x", &numbered(2)).unwrap();
        let (mut data, mut control) = ([0; 1], ControlBuf::<()>::new());
        let message = MsgHdrMut::new().data(&mut data).inheritable().recv(&b, &mut control).unwrap();
        assert_eq!((message.fds().count(), message.fds().filter(|fd| is_cloexec(fd)).count()), (2, 0));
    });
}

/// MC07: the last message needs no padding behind it; so it comes from programs that count CMSG_LEN alone.
#[test]
fn a_last_message_without_padding_arrives() {
    no_leak(|| {
        for kind in KINDS {
            for len in cmsg::len(4).unwrap()..=cmsg::space(4).unwrap() {
                let ((a, b), pipes) = (pair(kind), numbered(1));
                let mut header = MsgHdr::new();
                header.data(b"x").control(ScmRights::new(&pipes));
                let send = |raw: &libc::msghdr| {
                    let mut raw = *raw;
                    raw.msg_controllen = len as _;
                    // SAFETY: the descriptor is borrowed, hence open, and all that the header points to lives as long as
                    // the call that lends it.
                    unsafe { libc::sendmsg(a.as_raw_fd(), &raw, 0) }
                };
                assert_eq!(header.with_raw(send).unwrap(), 1);
                let mut data = [0; 1];
                let message = b.recv_fds::<1>(&mut data).unwrap();
                assert_eq!(contents(message.exact().unwrap()), ["0"], "{kind:?}, {len} bytes");
            }
        }
    });
}
