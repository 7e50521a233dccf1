//! IPv4 options over real sockets: what is received, what goes back, what the kernel refuses.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use ancillary::{
    ControlBuf, ControlVec, MsgHdr, SendControl, SocketExt,
    message::{IpRecvOpts, IpRetOpts},
    set_option,
};
use common::{
    has_v6,
    namespace::{routed, v4, without_net_raw},
    pairs::bound,
};
use nix::libc;

type Options = (IpRecvOpts<'static>, IpRetOpts<'static>);

// RFC 791 s. 3.1: type, length, where the next entry goes (counted from 1), room.
const RECORD_ROUTE: [u8; 16] = [7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const TIMESTAMP: [u8; 16] = [0x44, 16, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// What the sender and the receiver have made of the first.
const RECORDED: [u8; 16] = [7, 15, 12, 127, 0, 0, 1, 127, 0, 0, 1, 0, 0, 0, 0, 0];
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
const LOOSE_ROUTE: u8 = 0x83;

fn send<'a>(from: &UdpSocket, to: SocketAddr, control: impl SendControl<'a>) -> io::Result<usize> {
    let list = ancillary::ControlList::new(control)?;
    MsgHdr::new().to(to).data(b"data").control_from(&list).send(from)
}

/// The bytes of both messages of the next datagram.
fn next(socket: &UdpSocket) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut data, mut control) = ([0; 16], ControlBuf::<Options>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    assert_eq!(message.data(), b"data");
    let (received, returned) = message.extract();
    (received.map(|options| options.as_bytes().to_vec()), returned.map(|options| options.as_bytes().to_vec()))
}

#[test]
fn options_arrive_only_while_enabled_and_with_the_entries_of_this_host() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    let to = receiver.local_addr().unwrap();
    let sent = IpRetOpts::new(&RECORD_ROUTE).unwrap();
    send(&sender, to, sent).unwrap();
    assert_eq!(next(&receiver), (None, None), "not enabled");

    receiver.enable::<Options>().unwrap();
    send(&sender, to, ()).unwrap();
    assert_eq!(next(&receiver), (None, None), "no options in the header");
    send(&sender, to, sent).unwrap();
    // The sender's entry and the receiver's; the answer goes on behind them.
    assert_eq!(next(&receiver), (Some(RECORDED.to_vec()), Some(RECORDED.to_vec())));

    receiver.disable::<Options>().unwrap();
    send(&sender, to, sent).unwrap();
    assert_eq!(next(&receiver), (None, None), "disabled");
}

#[test]
fn options_are_taken_apart_one_by_one() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    receiver.enable::<Options>().unwrap();
    let all = [&[1, 1][..], &RECORD_ROUTE[..15], &TIMESTAMP[..], &ROUTER_ALERT[..]].concat();
    send(&sender, receiver.local_addr().unwrap(), IpRetOpts::new(&all).unwrap()).unwrap();
    let (mut data, mut control) = ([0; 16], ControlBuf::<Options>::new());
    let message = receiver.recv_msg(&mut data, &mut control).unwrap();
    let (received, returned) = message.extract();
    let (received, returned) = (received.unwrap(), returned.unwrap());
    assert_eq!(received.as_bytes().len(), 40, "filled up to a multiple of four");
    let options: Vec<_> = received.options().collect::<Result<_, _>>().unwrap();
    let [(7, route), (0x44, stamps), (0x94, alert)] = options[..] else { panic!("{options:?}") };
    assert_eq!((route, alert), (&RECORDED[2..15], &[0, 0][..]));
    assert_eq!((stamps.len(), stamps[0]), (14, 13), "two timestamps and room for one");
    assert!(stamps[2..6] != [0; 4] && stamps[6..10] != [0; 4] && stamps[10..] == [0; 4], "{stamps:?}");
    // Of these two go back, with an end of list behind them.
    let back: Vec<_> = returned.options().collect::<Result<_, _>>().unwrap();
    assert_eq!(back, options[..2]);
    assert_eq!(returned.as_bytes().len(), 32);
}

#[test]
fn what_is_not_sent_back_leaves_an_empty_answer() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    receiver.enable::<Options>().unwrap();
    send(&sender, receiver.local_addr().unwrap(), IpRetOpts::new(&ROUTER_ALERT).unwrap()).unwrap();
    assert_eq!(next(&receiver), (Some(ROUTER_ALERT.to_vec()), Some(vec![])));
}

#[test]
fn forty_bytes_are_the_longest_both_ways() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    receiver.enable::<Options>().unwrap();
    let mut longest = [0; 40];
    longest[..3].copy_from_slice(&[7, 39, 4]);
    send(&sender, receiver.local_addr().unwrap(), IpRetOpts::new(&longest).unwrap()).unwrap();
    let mut recorded = longest;
    recorded[2] = 12;
    recorded[3..11].copy_from_slice(&RECORDED[3..11]);
    assert_eq!(next(&receiver), (Some(recorded.to_vec()), Some(recorded.to_vec())));
}

#[test]
fn sent_options_beat_those_of_the_socket_and_none_are_none() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    receiver.enable::<Options>().unwrap();
    let to = receiver.local_addr().unwrap();
    // An option value of four bytes, which an int has too: a router alert.
    set_option(&sender, libc::IPPROTO_IP, libc::IP_OPTIONS, i32::from_ne_bytes(ROUTER_ALERT)).unwrap();
    send(&sender, to, ()).unwrap();
    assert_eq!(next(&receiver).0, Some(ROUTER_ALERT.to_vec()));
    send(&sender, to, IpRetOpts::new(&RECORD_ROUTE).unwrap()).unwrap();
    assert_eq!(next(&receiver).1, Some(RECORDED.to_vec()));
    send(&sender, to, IpRetOpts::new(&[]).unwrap()).unwrap();
    assert_eq!(next(&receiver), (None, None));
}

#[test]
fn an_ipv6_socket_has_the_options_of_ipv4_peers() {
    if !has_v6("an_ipv6_socket_has_the_options_of_ipv4_peers") {
        return;
    }
    let (receiver, sender) = (bound("[::]:0"), bound("[::]:0"));
    receiver.enable::<Options>().unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), receiver.local_addr().unwrap().port()));
    send(&sender, to, IpRetOpts::new(&ROUTER_ALERT).unwrap()).unwrap();
    assert_eq!(next(&receiver), (Some(ROUTER_ALERT.to_vec()), Some(vec![])));
}

/// What was received as options for an answer is sent as such: a source route goes back the way it came.
#[test]
fn a_source_route_is_turned_around_for_the_answer() {
    let name = "a_source_route_is_turned_around_for_the_answer";
    let Some([near, router, far]) = routed(name, 1500) else { return };
    for (host, devices) in [(&near, &["veth1"][..]), (&router, &["veth1", "veth2"]), (&far, &["veth2"])] {
        for device in [&["all"], devices].concat() {
            host.set(&format!("ipv4/conf/{device}/accept_source_route"), "1");
        }
    }
    let server = far.run(|| bound("0.0.0.0:0"));
    let client = near.run(|| bound("0.0.0.0:0"));
    server.enable::<Options>().unwrap();
    client.enable::<Options>().unwrap();

    let mut route = [LOOSE_ROUTE, 7, 4, 0, 0, 0, 0, 0];
    route[3..7].copy_from_slice(&v4(1, 2).octets());
    let to = SocketAddr::from((v4(2, 2), server.local_addr().unwrap().port()));
    send(&client, to, IpRetOpts::new(&route).unwrap()).unwrap();
    let (mut data, mut control) = ([0; 16], ControlVec::<Options>::new());
    let message = server.recv_msg(&mut data, &mut control).unwrap();
    let (received, returned) = message.extract();
    let (received, returned) = (received.unwrap(), returned.unwrap());
    // The router has put the address by which it went on, and nothing of the route is left.
    let visited = [&[8], &v4(2, 1).octets()[..]].concat();
    assert_eq!(received.options().next(), Some(Ok((LOOSE_ROUTE, &visited[..]))), "{received}");
    // All of it is ahead again.
    let ahead = [&[4], &v4(2, 1).octets()[..]].concat();
    assert_eq!(returned.options().next(), Some(Ok((LOOSE_ROUTE, &ahead[..]))), "{returned}");

    // The message is a view of the buffer and goes out from there.
    MsgHdr::new().to(message.peer()).data(b"data").control(returned).send(&server).unwrap();
    let (received, _) = next(&client);
    let visited = [&[LOOSE_ROUTE, 7, 8], &v4(1, 2).octets()[..], &[0]].concat();
    assert_eq!(received, Some(visited));
}

#[test]
fn a_source_route_needs_a_privilege() {
    without_net_raw(|| {
        let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let to = receiver.local_addr().unwrap();
        let route = [LOOSE_ROUTE, 7, 4, 127, 0, 0, 5, 0];
        let error = send(&sender, to, IpRetOpts::new(&route).unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        send(&sender, to, IpRetOpts::new(&RECORD_ROUTE).unwrap()).unwrap();
    });
}

#[test]
fn options_that_make_no_sense_are_refused_by_the_kernel() {
    let (receiver, sender) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    for options in [&[7, 200, 4, 0][..], &[7, 1, 4, 0], &[7, 3, 0, 0], &[7]] {
        let sent = IpRetOpts::new(options).unwrap();
        assert!(!sent.options().all(|option| option.is_ok_and(|(_, data)| data.len() > 1)), "{options:?}");
        let error = send(&sender, receiver.local_addr().unwrap(), sent).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{options:?}");
    }
}
