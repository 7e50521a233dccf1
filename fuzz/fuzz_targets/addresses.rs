//! Addresses: any bytes as `SockAddr`, any text as an address with a zone and a port, and what is printed read again.

#![no_main]

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    str,
};

use ancillary::{
    SockAddr,
    interface::{ScopedAddr, ScopedSocketAddr},
};
use libfuzzer_sys::fuzz_target;

fn address(bytes: &[u8]) {
    let Ok(addr) = SockAddr::from_bytes(bytes) else {
        assert!(bytes.len() < 2 || bytes.len() > 128);
        return;
    };
    assert_eq!(addr.as_bytes(), bytes);
    let again = SockAddr::from_bytes(addr.as_bytes()).unwrap();
    let hasher = RandomState::new();
    assert!(again == addr && hasher.hash_one(again) == hasher.hash_one(addr));
    let kinds =
        [addr.as_inet().is_some(), addr.as_pathname().is_some(), addr.as_abstract_name().is_some(), addr.is_unnamed()];
    assert!(kinds.into_iter().filter(|kind| *kind).count() <= 1, "{addr:?}");
    let (shown, debug) = (addr.to_string(), format!("{addr:?}"));
    assert!(!shown.is_empty() && !debug.is_empty() && !debug.contains('\0'), "{debug:?}");
    if let Some(inet) = addr.as_inet() {
        assert_eq!(SockAddr::from(inet).as_inet(), Some(inet));
        assert_eq!(addr.as_inet_canonical().map(|inet| inet.port()), Some(inet.port()));
    }
    if bytes.len() > 110 {
        return; // more than a `sockaddr_un`, which no kernel takes
    }
    if let Some(path) = addr.as_pathname() {
        assert_eq!(SockAddr::unix(path).unwrap().as_pathname(), Some(path));
    }
    if let Some(name) = addr.as_abstract_name() {
        assert_eq!(SockAddr::unix_abstract(name).unwrap(), addr);
    }
}

fn text(text: &str) {
    if let Ok(addr) = text.parse::<ScopedAddr>() {
        assert_eq!(addr.to_string().parse(), Ok(addr), "{text}");
    }
    if let Ok(addr) = text.parse::<ScopedSocketAddr>() {
        assert_eq!(addr.to_string().parse(), Ok(addr), "{text}");
        let inet = SocketAddr::from(addr);
        assert_eq!(SockAddr::from(inet).as_inet(), Some(inet));
    }
    // What std reads without a zone is read the same.
    if let Ok(addr) = text.parse::<Ipv6Addr>() {
        assert_eq!(text.parse(), Ok(ScopedAddr::from(addr)));
    }
    if let Ok(addr) = text.parse::<SocketAddrV6>() {
        assert_eq!(text.parse::<ScopedSocketAddr>().map(SocketAddrV6::from), Ok(addr), "{text}");
    }
    assert_eq!(SockAddr::unix(text).is_ok(), !text.is_empty() && text.len() <= 108 && !text.contains('\0'));
    assert_eq!(SockAddr::unix_abstract(text.as_bytes()).is_ok(), text.len() <= 107);
}

fuzz_target!(|input: &[u8]| {
    address(input);
    if let Ok(input) = str::from_utf8(input) {
        text(input);
    }
    if let Some((&[p0, p1, s0, s1, s2, s3, a, b, c, d], rest)) = input.split_first_chunk() {
        let (port, scope) = (u16::from_be_bytes([p0, p1]), u32::from_be_bytes([s0, s1, s2, s3]));
        let v4 = SocketAddr::from(SocketAddrV4::new([a, b, c, d].into(), port));
        assert_eq!(SockAddr::from(v4).as_inet(), Some(v4));
        if let Some(ip) = rest.first_chunk::<16>() {
            let v6 = SocketAddrV6::new(Ipv6Addr::from(*ip), port, u32::from_be_bytes([a, b, c, d]), scope);
            assert_eq!(SockAddr::from(v6).as_inet(), Some(SocketAddr::V6(v6)));
            let scoped = ScopedAddr::new(*v6.ip(), scope);
            assert_eq!(scoped.to_string().parse(), Ok(scoped));
            let scoped = ScopedSocketAddr::new(scoped, port);
            assert_eq!(scoped.to_string().parse(), Ok(scoped));
        }
    }
});
