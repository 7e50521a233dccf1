//! The path MTU as options say it: of the loopback, of a path with a narrow link, of every mode of discovery.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlBuf, FamilyError, MsgHdr, MsgHdrMut, RecvFlags, SendControl, SocketExt,
    message::{ExtendedError, Ipv6DontFrag, Ipv6DstOpts, Ipv6HopOpts, Ipv6PathMtu, Meaning},
    rfc3542::{PathMtuDiscovery, path_mtu},
};
use common::{
    TIMEOUT, cause, has_v6,
    namespace::{Namespace, on_loopback, routed, v4, v6},
    pairs::{self, DUAL, V6, addrs, bound, errno, udp},
    raw::option_bytes,
    skipped,
};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

const MODES: [PathMtuDiscovery; 6] = [
    PathMtuDiscovery::Dont,
    PathMtuDiscovery::Want,
    PathMtuDiscovery::Do,
    PathMtuDiscovery::Probe,
    PathMtuDiscovery::Interface,
    PathMtuDiscovery::Omit,
];

#[test]
fn every_mode_is_set_and_read_back_in_both_families() {
    for addr in addrs("every_mode_is_set_and_read_back_in_both_families") {
        let (socket, other) = (bound(*addr), bound(*addr));
        let default = PathMtuDiscovery::get(&socket).unwrap();
        for mode in MODES.into_iter().chain([default]) {
            mode.set(&socket).unwrap();
            assert_eq!(PathMtuDiscovery::get(&socket).unwrap(), mode);
            assert_eq!(PathMtuDiscovery::get(&other).unwrap(), default, "of one socket alone");
        }
    }
}

/// Sends so many bytes, or says why not.
fn send(socket: &UdpSocket, to: SocketAddr, len: usize) -> Result<usize, i32> {
    MsgHdr::new().to(to).data(&vec![0; len]).send(socket).map_err(|error| error.raw_os_error().unwrap())
}

/// Lets the host of this socket learn that the path to there has a link of 1300 bytes, by a packet that is refused.
fn learn(sender: &UdpSocket, to: SocketAddr) {
    sender.connect(to).unwrap();
    PathMtuDiscovery::Do.set(sender).unwrap();
    assert_eq!(path_mtu(sender).unwrap(), 1500);
    assert_eq!(send(sender, to, 1400), Ok(1400));
    // The router's answer is an error of a connected socket that discovers.
    assert_eq!(errno(sender.recv(&mut [0; 16])), libc::EMSGSIZE);
    assert_eq!(path_mtu(sender).unwrap(), 1300);
}

/// Addresses of both ends of a path through a router.
fn ends(v6_too: bool) -> Vec<[IpAddr; 2]> {
    let mut ends = vec![[v4(1, 1).into(), v4(2, 2).into()]];
    if v6_too {
        ends.push([v6(1, 1).into(), v6(2, 2).into()]);
    }
    ends
}

/// Between 1300 bytes and 1500 a datagram fits through the first link, but not through the second.
#[test]
fn every_mode_does_with_datagrams_that_are_too_long_what_it_says() {
    let test = "every_mode_does_with_datagrams_that_are_too_long_what_it_says";
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    for [from, to] in ends(has_v6(test)) {
        let receiver = far.run(|| bound((to, 0)));
        let at = receiver.local_addr().unwrap();
        near.run(|| learn(&bound((from, 0)), at));
        let sender = near.run(|| bound((from, 0)));
        let arrives = |len| assert_eq!(receiver.recv(&mut [0; 2048]).unwrap(), len);
        for (number, mode) in MODES.into_iter().enumerate() {
            mode.set(&sender).unwrap();
            let (fits_once, fits_nowhere) = (1400 + number, 1600 + number);
            let too_long = Err(libc::EMSGSIZE);
            let sent = [fits_once, fits_nowhere].map(|len| send(&sender, at, len));
            let expected = match mode {
                PathMtuDiscovery::Do => [too_long, too_long],
                PathMtuDiscovery::Probe | PathMtuDiscovery::Interface => [Ok(fits_once), too_long],
                _ => [Ok(fits_once), Ok(fits_nowhere)],
            };
            assert_eq!(sent, expected, "{mode:?} to {to}");
            // What was cut here arrives, and of IPv4 what the router may cut. Packets keep their order, so the next one
            // to arrive shows what did not.
            match (mode, to.is_ipv4()) {
                (PathMtuDiscovery::Dont | PathMtuDiscovery::Want, _) | (PathMtuDiscovery::Omit, true) => {
                    arrives(fits_once);
                    arrives(fits_nowhere);
                }
                (PathMtuDiscovery::Interface, true) => arrives(fits_once),
                _ => {}
            }
            send(&sender, at, number).unwrap();
            arrives(number);
        }
    }
}

#[test]
fn the_known_path_mtu_is_that_of_the_narrowest_link() {
    let test = "the_known_path_mtu_is_that_of_the_narrowest_link";
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    for [from, to] in ends(has_v6(test)) {
        let (receiver, sender) = (far.run(|| bound((to, 0))), near.run(|| bound((from, 0))));
        let at = receiver.local_addr().unwrap();
        assert_eq!(errno(path_mtu(&sender)), libc::ENOTCONN);
        learn(&sender, at);
        let fits = 1300 - if to.is_ipv6() { 48 } else { 28 };
        assert_eq!(send(&sender, at, fits), Ok(fits));
        assert_eq!(receiver.recv(&mut [0; 2048]).unwrap(), fits);
        assert_eq!(send(&sender, at, fits + 1), Err(libc::EMSGSIZE));
        let another = near.run(|| bound((from, 0)));
        another.connect(at).unwrap();
        assert_eq!(path_mtu(&another).unwrap(), 1300, "known to the host");
    }
}

/// Whatever has come as a message by now, without waiting.
fn told(socket: &UdpSocket) -> Option<Ipv6PathMtu> {
    let (mut data, mut control) = ([0; 16], ControlBuf::<Ipv6PathMtu>::new());
    match MsgHdrMut::new().data(&mut data).flags(RecvFlags::DONTWAIT).recv(socket, &mut control) {
        Ok(message) => Some(message.extract().expect("nothing else")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// What the next entry of the error queue says, waited for.
fn queued(socket: &UdpSocket) -> Meaning {
    let queue = socket.error_queue().unwrap();
    assert!(queue.wait(TIMEOUT.unwrap()).unwrap(), "nothing in the error queue");
    let (mut data, mut control) = ([0; 16], ControlBuf::<ExtendedError>::new());
    queue.recv(&mut data, &mut control).unwrap().error().meaning()
}

/// By getsockopt(2), of which the RFC's form has no address on Linux, and as a message.
#[test]
fn the_option_and_the_message_say_the_same_path_mtu() {
    let test = "the_option_and_the_message_say_the_same_path_mtu";
    if !has_v6(test) {
        return;
    }
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    let (receiver, sender) = (far.run(|| bound((v6(2, 2), 0))), near.run(|| bound((v6(1, 1), 0))));
    let to = receiver.local_addr().unwrap();
    let asked = || option_bytes::<32>(&sender, (libc::IPPROTO_IPV6, libc::IPV6_PATHMTU));
    let expected = |mtu: u32| {
        let mut info = [0; 32];
        info[28..].copy_from_slice(&mtu.to_ne_bytes());
        info
    };
    assert_eq!(errno(asked()), libc::ENOTCONN);
    sender.connect(to).unwrap();
    assert_eq!((path_mtu(&sender).unwrap(), asked().unwrap()), (1500, expected(1500)));
    learn(&sender, to);
    assert_eq!((path_mtu(&sender).unwrap(), asked().unwrap()), (1300, expected(1300)));

    sender.enable::<Ipv6PathMtu>().unwrap();
    Ipv6DontFrag(true).set_sticky(&sender).unwrap();
    assert_eq!(send(&sender, to, 1400), Err(libc::EMSGSIZE));
    let found = told(&sender).unwrap();
    assert_eq!((*found.addr.ip(), found.mtu), (v6(2, 2), 1300));
}

/// What a router says of a lost datagram brings no message: that comes with the next one, which this host refuses.
#[test]
fn an_answer_of_a_router_is_in_the_error_queue_at_once_and_a_message_after_the_next_send() {
    let test = "an_answer_of_a_router_is_in_the_error_queue_at_once_and_a_message_after_the_next_send";
    if !has_v6(test) {
        return;
    }
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    let receiver = far.run(|| bound((v6(2, 2), 0)));
    let to = receiver.local_addr().unwrap();
    let (sender, observer) = near.run(|| (bound((v6(1, 1), 0)), bound((v6(1, 1), 0))));
    sender.enable::<Ipv6PathMtu>().unwrap();
    Ipv6DontFrag(true).set_sticky(&sender).unwrap();
    assert_eq!(send(&sender, to, 1400), Ok(1400), "and lost");

    // Packets keep their order: with the answer to this one, that to the first has come.
    observer.enable::<(Ipv6PathMtu, ExtendedError)>().unwrap();
    PathMtuDiscovery::Probe.set(&observer).unwrap();
    assert_eq!(send(&observer, to, 1401), Ok(1401));
    assert_eq!(queued(&observer), Meaning::PacketTooBig { mtu: 1300 });
    assert_eq!((told(&observer), told(&sender)), (None, None));

    assert_eq!(send(&sender, to, 1400), Err(libc::EMSGSIZE));
    assert_eq!(told(&sender).unwrap().mtu, 1300);
    assert_eq!(send(&sender, to, 1300 - 48), Ok(1300 - 48));
    assert_eq!(receiver.recv(&mut [0; 2048]).unwrap(), 1300 - 48, "the first to arrive");
}

/// By an error of its next call, once, but in three modes.
#[test]
fn a_connected_socket_is_told_of_a_routers_answer_as_its_mode_says() {
    let test = "a_connected_socket_is_told_of_a_routers_answer_as_its_mode_says";
    if !has_v6(test) {
        return;
    }
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    // An address for each mode: what is known of one path is not known of the next.
    for (end, mode) in (10..).zip(MODES) {
        far.ip(&format!("addr add {}/64 nodad dev veth2", v6(2, end)));
        let to = SocketAddr::from((v6(2, end), 9));
        let (sender, observer) = near.run(|| (bound((v6(1, 1), 0)), bound((v6(1, 1), 0))));
        sender.connect(to).unwrap();
        sender.enable::<Ipv6PathMtu>().unwrap();
        mode.set(&sender).unwrap();
        assert_eq!(sender.send(&[0; 1400]).unwrap(), 1400);
        // Packets keep their order: with the answer to this one, that to the first has come.
        observer.enable::<ExtendedError>().unwrap();
        PathMtuDiscovery::Probe.set(&observer).unwrap();
        assert_eq!(send(&observer, to, 1401), Ok(1401));
        assert_eq!(queued(&observer), Meaning::PacketTooBig { mtu: 1300 });

        sender.set_nonblocking(true).unwrap();
        let silent = matches!(mode, PathMtuDiscovery::Dont | PathMtuDiscovery::Interface | PathMtuDiscovery::Omit);
        let expected = if silent { libc::EAGAIN } else { libc::EMSGSIZE };
        assert_eq!(errno(sender.recv(&mut [0; 16])), expected, "{mode:?}");
        assert_eq!(told(&sender), None, "{mode:?}");
    }
}

/// A refusal by the mode brings no message, one by the option does; the error queue has both.
#[test]
fn what_the_mode_refuses_is_told_by_the_error_queue_alone() {
    let test = "what_the_mode_refuses_is_told_by_the_error_queue_alone";
    if !has_v6(test) {
        return;
    }
    let Some(host) = Namespace::new(test) else { return };
    host.ip("link set lo mtu 1400");
    host.run(|| {
        let (receiver, sender) = udp(V6);
        let to = receiver.local_addr().unwrap();
        sender.enable::<(Ipv6PathMtu, ExtendedError)>().unwrap();
        PathMtuDiscovery::Do.set(&sender).unwrap();
        assert_eq!(send(&sender, to, 1400), Err(libc::EMSGSIZE));
        assert_eq!(told(&sender), None);
        assert_eq!(queued(&sender), Meaning::PacketTooBig { mtu: 1400 });

        Ipv6DontFrag(true).set_sticky(&sender).unwrap();
        assert_eq!(send(&sender, to, 1400), Err(libc::EMSGSIZE));
        assert_eq!(told(&sender).unwrap().mtu, 1400);
        assert_eq!(queued(&sender), Meaning::PacketTooBig { mtu: 1400 });
    });
}

/// Of headers that every packet gets and of those of one datagram; a destination options header is counted twice where it
/// comes to what fits.
#[test]
fn the_message_says_the_path_mtu_less_the_extension_headers() {
    let test = "the_message_says_the_path_mtu_less_the_extension_headers";
    if !has_v6(test) {
        return;
    }
    let Some(host) = Namespace::new(test) else { return };
    host.ip("link set lo mtu 1400");
    // Padding, and an option for experiments: more than seven bytes of padding are dropped.
    static LONG: [u8; 1400] = [0; 1400];
    static EIGHT: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];
    static SIXTEEN: [u8; 16] = [0, 1, 0x1e, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    host.run(|| {
        let (receiver, sender) = udp(V6);
        let to = receiver.local_addr().unwrap();
        sender.enable::<(Ipv6PathMtu, ExtendedError)>().unwrap();
        let says = |headers: &dyn SendControl<'static>, mtu: u32, fits: usize| {
            let send = |len| {
                MsgHdr::new().to(to).data(&LONG[..len]).control(Ipv6DontFrag(true)).control(headers).send(&sender)
            };
            for too_long in [LONG.len(), fits + 1] {
                assert_eq!(errno(send(too_long)), libc::EMSGSIZE);
                assert_eq!((told(&sender).unwrap().mtu, queued(&sender)), (mtu, Meaning::PacketTooBig { mtu }));
            }
            assert_eq!(send(fits).unwrap(), fits);
            assert_eq!(receiver.recv(&mut [0; 2048]).unwrap(), fits);
        };
        says(&(), 1400, 1400 - 48);
        let (hop, dst) = (
            |header: &'static [u8]| Ipv6HopOpts::new(header).unwrap(),
            |header: &'static [u8]| Ipv6DstOpts::new(header).unwrap(),
        );
        if let Err(error) = hop(&EIGHT).set_sticky(&sender) {
            return skipped(format_args!("SKIPPED in {test}: headers of options: {error}"));
        }
        says(&(), 1392, 1392 - 48);
        dst(&EIGHT).set_sticky(&sender).unwrap();
        says(&(), 1384, 1384 - 48 - 8);
        says(&hop(&SIXTEEN), 1384, 1384 - 48);
        says(&dst(&SIXTEEN), 1384, 1384 - 48 - 16);
        says(&(hop(&EIGHT), dst(&SIXTEEN)), 1376, 1376 - 48 - 16);
        sender.connect(to).unwrap();
        assert_eq!(path_mtu(&sender).unwrap(), 1400, "the whole");
    });
}

#[test]
fn a_mode_of_an_ipv6_socket_is_one_for_mapped_peers_too() {
    let test = "a_mode_of_an_ipv6_socket_is_one_for_mapped_peers_too";
    if !has_v6(test) {
        return;
    }
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    let (receiver, sender) = (far.run(|| bound((v4(2, 2), 0))), near.run(|| bound(DUAL)));
    let to = SocketAddr::new(v4(2, 2).to_ipv6_mapped().into(), receiver.local_addr().unwrap().port());
    assert_eq!(send(&sender, to, 1600), Ok(1600));
    assert_eq!(receiver.recv(&mut [0; 2048]).unwrap(), 1600);
    PathMtuDiscovery::Do.set(&sender).unwrap();
    assert_eq!(send(&sender, to, 1600), Err(libc::EMSGSIZE));
    learn(&sender, to);
}

#[test]
fn raw_sockets_have_modes_and_other_families_have_none() {
    let test = "raw_sockets_have_modes_and_other_families_have_none";
    let family = |result: io::Result<()>| cause::<FamilyError>(&result.unwrap_err()).unwrap().found;
    let unix = pairs::datagrams().0;
    assert_eq!(family(PathMtuDiscovery::Do.set(&unix)), libc::AF_UNIX);
    assert_eq!(family(PathMtuDiscovery::get(&unix).map(drop)), libc::AF_UNIX);
    assert_eq!(family(path_mtu(&unix).map(drop)), libc::AF_UNIX);
    if !has_v6(test) {
        return;
    }
    on_loopback(test, || match Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)) {
        Ok(raw) => {
            PathMtuDiscovery::Probe.set(&raw).unwrap();
            assert_eq!(PathMtuDiscovery::get(&raw).unwrap(), PathMtuDiscovery::Probe);
        }
        Err(error) => skipped(format_args!("SKIPPED {test}: raw sockets: {error}")),
    });
}
