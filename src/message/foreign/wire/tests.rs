//! Golden bytes of the layouts, built from the fields as the systems' headers order them.

use std::net::Ipv4Addr;

use super::*;

const ASKED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn length<T>(expected: usize, found: usize) -> Result<T, DecodeError> {
    Err(DecodeError::Length { expected, found })
}

/// `struct sockaddr_dl` of an Ethernet interface called em0.
fn link(len: u8, index: u16) -> Vec<u8> {
    let mut bytes = vec![len, 18];
    bytes.extend(index.to_ne_bytes());
    bytes.extend([6, 3, 6, 0]);
    bytes.extend(b"em0\x02\0\0\0\0\x01");
    bytes.resize(len.into(), 0);
    bytes
}

#[test]
fn a_link_address_gives_the_interface() {
    // 8: none is left to name; 20: macOS; 32: NetBSD, OpenBSD; 56: FreeBSD.
    for (len, index) in [(8, 0), (20, 1), (32, 0x1234), (56, 2)] {
        assert_eq!(link_index(&link(len, index)), Ok(index.into()));
    }
}

#[test]
fn a_link_address_that_is_cut_or_none_is_refused() {
    let whole = link(32, 7);
    for found in 0..8 {
        assert_eq!(link_index(&whole[..found]), length(8, found));
    }
    for found in 8..32 {
        assert_eq!(link_index(&whole[..found]), length(32, found));
    }
    let mut inet = whole.clone();
    inet[1] = 2;
    let error = DecodeError::Value { field: "sdl_family", expected: "18 (AF_LINK)", found: 2 };
    assert_eq!(link_index(&inet), Err(error));
}

#[test]
fn address_and_interface_become_one_whichever_comes_first() {
    let address = IpPktInfo { ifindex: 0, spec_dst: ASKED, addr: ASKED };
    let interface = IpPktInfo { ifindex: 3, ..IpPktInfo::source(Ipv4Addr::UNSPECIFIED) };
    let both = IpPktInfo { ifindex: 3, spec_dst: ASKED, addr: ASKED };
    assert_eq!(join(address, interface), both);
    assert_eq!(join(interface, address), both);
    let other = Ipv4Addr::new(192, 0, 2, 2);
    assert_eq!(join(both, IpPktInfo { spec_dst: other, addr: other, ..address }).addr, other);
    assert_eq!(join(both, IpPktInfo { ifindex: 4, ..interface }), IpPktInfo { ifindex: 4, ..both });
}

#[test]
fn an_interface_that_would_be_overlooked_is_refused() {
    let address = IpPktInfo::source(ASKED);
    let interface = IpPktInfo { ifindex: 3, ..IpPktInfo::source(Ipv4Addr::UNSPECIFIED) };
    let both = IpPktInfo { ifindex: 3, ..address };
    assert_eq!(address_alone(address), Ok(address));
    for info in [interface, both] {
        let error = address_alone(info).unwrap_err().to_string();
        assert_eq!(error, "ipi_ifindex: expected 0 (this system takes an address alone), found 3");
    }
    assert_eq!(address_or_interface(address), Ok(address));
    assert_eq!(address_or_interface(interface), Ok(interface));
    let error = address_or_interface(both).unwrap_err().to_string();
    assert_eq!(error, "ipi_ifindex: expected 0 with a source address (this system takes one of them), found 3");
}

#[test]
fn netbsd_packet_info_is_address_then_interface() {
    let info = IpPktInfo { ifindex: 0x0102_0304, spec_dst: ASKED, addr: ASKED };
    let mut bytes = [192, 0, 2, 1, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&0x0102_0304u32.to_ne_bytes());
    assert_eq!(netbsd::to_wire(info), bytes);
    assert_eq!(netbsd::from_wire(bytes), info);
    // The source goes out, not the destination of a received one.
    assert_eq!(netbsd::to_wire(IpPktInfo { addr: Ipv4Addr::BROADCAST, ..info }), bytes);
}

#[test]
fn two_numbers_are_read_at_any_width() {
    let wide = [1_700_000_000i64.to_ne_bytes(), 999_999i64.to_ne_bytes()].concat();
    assert_eq!(pair(&wide, 16, 0..8, 8..16), Ok((1_700_000_000, 999_999)));
    // macOS: 64 and 32 bits, and padding; 32-bit NetBSD and OpenBSD without it; 32-bit FreeBSD twice 32.
    let mut padded = [1_700_000_000i64.to_ne_bytes(), [0xff; 8]].concat();
    padded[8..12].copy_from_slice(&999_999i32.to_ne_bytes());
    assert_eq!(pair(&padded, 16, 0..8, 8..12), Ok((1_700_000_000, 999_999)));
    assert_eq!(pair(&padded[..12], 12, 0..8, 8..12), Ok((1_700_000_000, 999_999)));
    let narrow = [(-1i32).to_ne_bytes(), 999_999i32.to_ne_bytes()].concat();
    assert_eq!(pair(&narrow, 8, 0..4, 4..8), Ok((-1, 999_999)));
    for found in (0..=17).filter(|&found| found != 16) {
        let mut bytes = wide.clone();
        bytes.resize(found, 0);
        assert_eq!(pair(&bytes, 16, 0..8, 8..16), length(16, found));
    }
}

#[test]
fn a_binary_fraction_becomes_nanoseconds() {
    for (fraction, nanos) in [(0, 0), (1 << 63, 500_000_000), (u64::MAX, 999_999_999), (1 << 32, 0), (5 << 32, 1)] {
        let wide = [(-2i64).to_ne_bytes(), fraction.to_ne_bytes()].concat();
        assert_eq!(bintime(&wide, 8), Ok((-2, nanos)));
        let narrow = [&(-2i32).to_ne_bytes()[..], &fraction.to_ne_bytes()[..]].concat();
        assert_eq!(bintime(&narrow, 4), Ok((-2, nanos)));
        assert_eq!(bintime(&narrow, 8), length(16, 12));
    }
}

#[test]
fn a_time_since_the_start_is_not_negative() {
    assert_eq!(since_start((7, 999_999_999)), Ok(Duration::new(7, 999_999_999)));
    for (time, field, expected, found) in [
        ((-1, 0), "tv_sec", "0..", -1),
        ((0, 1_000_000_000), "tv_nsec", "0..=999999999", 1_000_000_000),
        ((0, -1), "tv_nsec", "0..=999999999", -1),
    ] {
        assert_eq!(since_start(time), Err(DecodeError::Value { field, expected, found }));
    }
}
