//! Reading control data: IP_TTL and IP_PKTINFO by type and as an enum, against hand-written C. Nothing is received.

#[cfg(target_os = "linux")]
mod c;
#[cfg(target_os = "linux")]
mod settings;

#[cfg(target_os = "linux")]
fn main() {
    use ancillary::{
        message::{HopLimit, IpPktInfo, IpTtl, PktInfo, RecvList},
        parser::{self, ControlMessage},
    };

    use std::{hint::black_box, net::Ipv4Addr};

    let mut criterion = settings::criterion();
    let (ttl, tos, source) = (64, 0xb8, Ipv4Addr::new(127, 0, 0, 9));
    let info = IpPktInfo::source(source);
    let (mut two, mut three) = (c::Aligned([0; 64]), c::Aligned([0; 80]));
    c::build(&mut two, &mut c::header(), ttl, None, source);
    c::build(&mut three, &mut c::header(), ttl, Some(tos), source);

    for (count, bytes) in [(2, &mut two.0[..56]), (3, &mut three.0[..])] {
        let mut group = criterion.benchmark_group(format!("parse/{count}"));
        group.bench_function("types", |bench| {
            let extract = |bytes| <(IpPktInfo, IpTtl)>::extract(parser::cmsgs(bytes));
            assert_eq!(extract(bytes), (Some(info), Some(IpTtl(ttl))));
            bench.iter(|| extract(black_box(bytes)));
        });
        group.bench_function("types of both families", |bench| {
            let extract = |bytes| <(PktInfo, HopLimit)>::extract(parser::cmsgs(bytes));
            assert_eq!(extract(bytes), (Some(PktInfo::V4(info)), Some(HopLimit(ttl))));
            bench.iter(|| extract(black_box(bytes)));
        });
        group.bench_function("enum", |bench| {
            let read = |bytes| {
                let mut found = (None, None);
                for message in parser::parse(bytes) {
                    match message {
                        ControlMessage::IpPktInfo(info) => found.0 = Some(info),
                        ControlMessage::IpTtl(ttl) => found.1 = Some(ttl),
                        _ => {}
                    }
                }
                found
            };
            assert_eq!(read(bytes), (Some(info), Some(IpTtl(ttl))));
            bench.iter(|| read(black_box(bytes)));
        });
        let header = c::over(bytes);
        group.bench_function("c", |bench| {
            let (info, hops) = c::parse(&header);
            assert_eq!(info.unwrap().ipi_spec_dst.s_addr.to_ne_bytes(), source.octets());
            assert_eq!(hops, Some(ttl.into()));
            bench.iter(|| c::parse(black_box(&header)));
        });
        group.bench_function("c of both families", |bench| {
            let (info, hops) = c::parse_both(&header);
            assert!(
                matches!(info, Some(c::Info::V4(info)) if info.ipi_spec_dst.s_addr.to_ne_bytes() == source.octets())
            );
            assert_eq!(hops, Some(ttl.into()));
            bench.iter(|| c::parse_both(black_box(&header)));
        });
        group.finish();
    }
    criterion.final_summary();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: the layouts in C are those of Linux");
}
