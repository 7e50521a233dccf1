//! Interfaces by name and number, and link-local addresses over them.

#![cfg(target_os = "linux")]

mod common;

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use ancillary::{
    MsgHdr, ScopeError, SocketExt,
    interface::{self, ScopedAddr, ScopedSocketAddr},
    message::Ipv6PktInfo,
};
use common::{
    has_v6,
    namespace::{Namespace, link, link_local},
    pairs::{bound, errno},
};
use nix::libc;

#[test]
fn loopback_has_a_name_a_number_and_a_zone() {
    let lo = interface::index("lo").unwrap();
    assert_eq!(interface::name(lo).unwrap(), "lo");
    assert!(interface::list().unwrap().iter().any(|found| (found.index, found.name.as_str()) == (lo, "lo")));
    let addr: ScopedAddr = "ff02::1%lo".parse().unwrap();
    assert_eq!(addr, format!("ff02::1%{lo}").parse().unwrap());
    assert_eq!((addr.scope_id, addr.to_string().as_str()), (lo, "ff02::1%lo"));

    if !has_v6("loopback_has_a_name_a_number_and_a_zone") {
        return;
    }
    let receiver = bound((Ipv6Addr::LOCALHOST, 0));
    let to: ScopedAddr = "::1".parse().unwrap();
    MsgHdr::new().to(to.with_port(receiver.local_addr().unwrap().port())).data(b"data").send(&receiver).unwrap();
    let SocketAddr::V6(from) = receiver.recv_from(&mut [0; 8]).unwrap().1 else { panic!("not IPv6") };
    assert_eq!(ScopedAddr::from(from), to);
}

#[test]
fn a_link_local_address_is_reached_by_its_zone() {
    let name = "a_link_local_address_is_reached_by_its_zone";
    if !has_v6(name) {
        return;
    }
    let (Some(near), Some(far)) = (Namespace::new(name), Namespace::new(name)) else { return };
    // The same number at both ends would hide a zone taken from the wrong one.
    near.ip("link add between type veth peer name other");
    if !link(name, 1, 1500, &near, &far) {
        return;
    }
    let receiver = far.run(|| {
        let addr: ScopedAddr = format!("{}%veth1", link_local(2)).parse().unwrap();
        assert_eq!(addr.scope_id, interface::index("veth1").unwrap());
        let receiver = bound(addr.with_port(0));
        receiver.enable::<Ipv6PktInfo>().unwrap();
        receiver
    });
    let port = receiver.local_addr().unwrap().port();
    let sender = near.run(|| {
        let sender = bound((Ipv6Addr::UNSPECIFIED, 0));
        let to = |zone: &str| format!("{}%{zone}", link_local(2)).parse::<ScopedAddr>();
        let send = |to: ScopedAddr| MsgHdr::new().to(to.with_port(port)).data(b"data").send(&sender);
        let by_name = to("veth1").unwrap();
        assert_eq!(send(by_name).unwrap(), 4);
        assert_eq!(send(to(&by_name.scope_id.to_string()).unwrap()).unwrap(), 4);
        let with_port: ScopedSocketAddr = format!("[{by_name}]:{port}").parse().unwrap();
        assert_eq!(MsgHdr::new().to(with_port).data(b"data").send(&sender).unwrap(), 4);
        assert_eq!(sender.send_to(b"data", with_port).unwrap(), 4);

        // Without a zone sendmsg(2) takes any link that has a route.
        let connect = |addr: ScopedAddr| bound((Ipv6Addr::UNSPECIFIED, 0)).connect(addr.with_port(port));
        assert_eq!(errno(connect(link_local(2).into())), libc::EINVAL, "no zone");
        connect(by_name).unwrap();
        let unbound = UdpSocket::bind(ScopedAddr::from(link_local(1)).with_port(0));
        assert_eq!(errno(unbound), libc::EINVAL, "no zone");
        assert_eq!(errno(send(to("999999").unwrap())), libc::ENETUNREACH, "a number is not looked up");
        assert_eq!(to("veth2"), Err(ScopeError::Interface { found: "veth2".into() }));
        // A name of digits goes before the number.
        near.ip("link set between name 999999");
        assert_eq!(to("999999").unwrap().scope_id, interface::index("999999").unwrap());
        sender
    });
    // In the words of the receiver's own namespace.
    far.run(|| {
        let mut control = ancillary::ControlBuf::<Ipv6PktInfo>::new();
        for _ in 0..4 {
            let mut data = [0; 8];
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            let Some(SocketAddr::V6(from)) = message.peer().and_then(|peer| peer.as_inet()) else { panic!("not IPv6") };
            let port = sender.local_addr().unwrap().port();
            assert_eq!(from.port(), port);
            assert_eq!(ScopedSocketAddr::from(from).to_string(), format!("[{}%veth1]:{port}", link_local(1)));
            let from = ScopedAddr::from(from);
            assert_eq!(from.to_string(), format!("{}%veth1", link_local(1)));
            let info = message.extract().unwrap();
            assert_eq!(ScopedAddr::new(info.addr, info.ifindex).to_string(), format!("{}%veth1", link_local(2)));
        }
    });
    near.run(|| {
        let zone = interface::index("veth1").unwrap();
        assert_ne!(zone, far.run(|| interface::index("veth1").unwrap()));
    });
}
