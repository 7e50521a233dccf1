//! The path MTU as options say it: of the loopback, of a path with a narrow link, of every mode of discovery.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlBuf, FamilyError, MsgHdr, SocketExt,
    message::{Ipv6DontFrag, Ipv6PathMtu},
    rfc3542::{PathMtuDiscovery, path_mtu},
};
use common::{
    cause, has_v6,
    namespace::{on_loopback, routed, v4, v6},
    pairs::{self, DUAL, addrs, bound, errno},
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

/// By getsockopt(2) and as a message.
#[test]
fn the_options_and_the_message_say_the_same_path_mtu() {
    let test = "the_options_and_the_message_say_the_same_path_mtu";
    if !has_v6(test) {
        return;
    }
    let Some([near, _router, far]) = routed(test, 1300) else { return };
    let (receiver, sender) = (far.run(|| bound((v6(2, 2), 0))), near.run(|| bound((v6(1, 1), 0))));
    let to = receiver.local_addr().unwrap();
    assert_eq!(errno(Ipv6PathMtu::mtu_of(&sender)), libc::ENOTCONN);
    sender.connect(to).unwrap();
    assert_eq!(Ipv6PathMtu::mtu_of(&sender).unwrap(), 1500);
    learn(&sender, to);
    assert_eq!(Ipv6PathMtu::mtu_of(&sender).unwrap(), 1300);

    sender.enable::<Ipv6PathMtu>().unwrap();
    Ipv6DontFrag(true).set_sticky(&sender).unwrap();
    assert_eq!(send(&sender, to, 1400), Err(libc::EMSGSIZE));
    let mut control = ControlBuf::<Ipv6PathMtu>::new();
    let told = sender.recv_msg(&mut [0; 16], &mut control).unwrap().extract().unwrap();
    assert_eq!((*told.addr.ip(), told.mtu), (v6(2, 2), 1300));
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
    let (unix, v4) = (pairs::datagrams().0, bound(pairs::V4));
    assert_eq!(family(PathMtuDiscovery::Do.set(&unix)), libc::AF_UNIX);
    assert_eq!(family(PathMtuDiscovery::get(&unix).map(drop)), libc::AF_UNIX);
    assert_eq!(family(path_mtu(&unix).map(drop)), libc::AF_UNIX);
    assert_eq!(family(Ipv6PathMtu::mtu_of(&v4).map(drop)), libc::AF_INET);
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
