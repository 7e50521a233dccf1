//! What a control message does on UDP, ping and raw sockets alike, beside the option of the socket, as it is on the wire.

#![cfg(target_os = "linux")]

mod common;

use std::io;

use ancillary::{
    MsgHdr, SendControl,
    message::{HopLimit, Ipv6DontFrag, TrafficClass},
    set_option,
};
use common::{
    TIMEOUT,
    kinds::{Kind, Sender, let_ping, senders},
    namespace::Namespace,
    pairs::errno,
};
use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

const IPV6_DONTFRAG: i32 = 62; // include/uapi/linux/in6.h

/// Everything that passes the loopback of a namespace, from its IP header on.
struct Wire(Socket);

impl Wire {
    fn new() -> Self {
        let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(all)).unwrap();
        socket.set_read_timeout(TIMEOUT).unwrap();
        Self(socket)
    }

    /// Time to live and service of the next packet that ends like this and is no answer to one.
    fn next(&self, end: &[u8]) -> (u8, u8) {
        for _ in 0..1000 {
            let mut packet = [0; 2000];
            let len = io::Read::read(&mut &self.0, &mut packet).unwrap();
            let packet = &packet[..len];
            let (hops, class, protocol, payload) = if packet[0] >> 4 == 4 {
                (packet[8], packet[1], packet[9], &packet[20..])
            } else {
                (packet[7], packet[0] << 4 | packet[1] >> 4, packet[6], &packet[40..])
            };
            let is_answer = matches!(protocol, 1 | 58) && !matches!(payload[0], 8 | 128);
            if packet.ends_with(end) && !is_answer {
                return (hops, class);
            }
        }
        panic!("1000 packets, and none of those expected");
    }
}

/// What the option of the socket says, what the message says.
type Ways = [(Option<u8>, Option<u8>); 4];

/// The four ways to say `value`: option, message, both, and the message against the option.
fn ways(value: u8, other: u8) -> Ways {
    [(Some(value), None), (None, Some(value)), (Some(value), Some(value)), (Some(other), Some(value))]
}

fn send<'a>(sender: &Sender, end: &[u8], control: impl SendControl<'a>) -> io::Result<usize> {
    let list = ancillary::ControlList::new(control)?;
    let data = sender.data(end);
    MsgHdr::new().to(sender.to).data(&data).control_from(&list).send(&sender.socket)
}

fn set(sender: &Sender, v4: i32, v6: i32, value: Option<u8>) {
    let (level, name) = if sender.v6 { (libc::IPPROTO_IPV6, v6) } else { (libc::IPPROTO_IP, v4) };
    if let Some(value) = value {
        set_option(&sender.socket, level, name, value.into()).unwrap();
    }
}

/// R608
#[test]
fn a_sent_hop_limit_is_on_the_wire_whatever_the_option_says() {
    let test = "a_sent_hop_limit_is_on_the_wire_whatever_the_option_says";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    host.run(|| {
        let wire = Wire::new();
        for (option, message) in ways(4, 5) {
            for sender in senders(test) {
                set(&sender, libc::IP_TTL, libc::IPV6_UNICAST_HOPS, option);
                let end = format!("{:?} {} {option:?} {message:?}", sender.kind, sender.v6);
                send(&sender, end.as_bytes(), message.map(HopLimit)).unwrap();
                assert_eq!(wire.next(end.as_bytes()), (4, 0), "{end}");
            }
        }
    });
}

/// R607
#[test]
fn a_sent_class_is_on_the_wire_whatever_the_option_says() {
    let test = "a_sent_class_is_on_the_wire_whatever_the_option_says";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    host.run(|| {
        let wire = Wire::new();
        for (option, message) in ways(0x20, 0x28) {
            for sender in senders(test) {
                set(&sender, libc::IP_TOS, libc::IPV6_TCLASS, option);
                let end = format!("{:?} {} {option:?} {message:?}", sender.kind, sender.v6);
                send(&sender, end.as_bytes(), message.map(TrafficClass)).unwrap();
                assert_eq!(wire.next(end.as_bytes()), (64, 0x20), "{end}");
            }
        }
    });
}

/// R607
#[test]
fn routing_rules_look_at_a_sent_class() {
    let test = "routing_rules_look_at_a_sent_class";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    let families = if common::has_v6(test) { &["-4", "-6"][..] } else { &["-4"] };
    for version in families {
        // The rule for local addresses comes first otherwise.
        for rule in ["add pref 1 tos 0x10 prohibit", "add pref 2 lookup local", "del pref 0"] {
            if !host.ip_or_skip(test, &format!("{version} rule {rule}")) {
                return;
            }
        }
    }
    host.run(|| {
        for option in [None, Some(0x20)] {
            for sender in senders(test) {
                set(&sender, libc::IP_TOS, libc::IPV6_TCLASS, option);
                let case = format!("{sender:?} {option:?}");
                assert_eq!(errno(send(&sender, b"end", TrafficClass(0x10))), libc::EACCES, "{case}");
                send(&sender, b"end", TrafficClass(0x20)).unwrap_or_else(|error| panic!("{case}: {error}"));
                send(&sender, b"end", ()).unwrap_or_else(|error| panic!("{case}: {error}"));
                // The bits of congestion are none of the rule's business.
                for ecn in (1..4).filter(|_| !sender.v6) {
                    assert_eq!(errno(send(&sender, b"end", TrafficClass(0x10 | ecn))), libc::EACCES, "{case} {ecn}");
                }
            }
        }
    });
}

/// R606
#[test]
fn a_message_says_whether_a_packet_may_be_cut_whatever_the_option_says() {
    let test = "a_message_says_whether_a_packet_may_be_cut_whatever_the_option_says";
    let Some(host) = Namespace::new(test) else { return };
    let_ping(&host);
    host.ip("link set lo mtu 1500");
    host.run(|| {
        for dont in [1, 0] {
            for (option, message) in ways(dont, 1 - dont) {
                for sender in senders(test).iter().filter(|sender| sender.v6) {
                    set(sender, 0, IPV6_DONTFRAG, option);
                    let sent = send(sender, &[0; 2000], message.map(|dont| Ipv6DontFrag(dont == 1)));
                    let case = format!("{sender:?} {option:?} {message:?}");
                    // Raw sockets of protocols that the kernel does not know are cut in any case.
                    if dont == 1 && sender.kind != Kind::RawOther {
                        assert_eq!(errno(sent), libc::EMSGSIZE, "{case}");
                    } else {
                        assert_eq!(sent.unwrap(), sender.data(&[0; 2000]).len(), "{case}");
                    }
                }
            }
        }
    });
}
