//! Building control data: two and three messages, against hand-written C. Nothing is sent.

#[cfg(target_os = "linux")]
mod c;
#[cfg(target_os = "linux")]
mod settings;

#[cfg(target_os = "linux")]
fn main() {
    use ancillary::{
        MsgHdr, cmsg,
        message::{IpPktInfo, IpTos, IpTtl},
    };

    use std::{hint::black_box, net::Ipv4Addr};

    let mut criterion = settings::criterion();
    let (ttl, tos, source) = (64, 0xb8, Ipv4Addr::new(127, 0, 0, 9));

    let mut expected = c::Aligned([0; 80]);
    c::build(&mut expected, &mut c::header(), ttl, Some(tos), source);
    let (three, mut two) = (expected.0, c::Aligned([0; 64]));
    c::build(&mut two, &mut c::header(), ttl, None, source);
    let two = &two.0[..56];

    let mut group = criterion.benchmark_group("build/2");
    group.bench_function("header", |bench| {
        let mut header = MsgHdr::new();
        header.control(IpTtl(ttl)).control(IpPktInfo::source(source));
        assert_eq!(c::control_of(&header), two);
        bench.iter(|| {
            let mut header = MsgHdr::new();
            header.control(IpTtl(black_box(ttl))).control(IpPktInfo::source(black_box(source)));
            header.with_raw(|raw| _ = black_box(raw)).unwrap();
        });
    });
    group.bench_function("bytes", |bench| {
        let mut bytes = [0; 64];
        bench.iter(|| {
            let messages = (IpTtl(black_box(ttl)), IpPktInfo::source(black_box(source)));
            cmsg::encode(&messages, black_box(&mut bytes)).unwrap()
        });
        assert_eq!(&bytes[..56], two);
    });
    group.bench_function("c", |bench| {
        bench.iter(|| {
            let (mut control, mut header) = (c::Aligned([0; 64]), c::header());
            c::build(&mut control, &mut header, black_box(ttl), None, black_box(source));
            _ = black_box(&header);
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("build/3");
    group.bench_function("header", |bench| {
        let mut header = MsgHdr::new();
        header.control((IpTtl(ttl), IpTos(tos), IpPktInfo::source(source)));
        assert_eq!(c::control_of(&header), three);
        bench.iter(|| {
            let mut header = MsgHdr::new();
            let (ttl, tos) = (IpTtl(black_box(ttl)), IpTos(black_box(tos)));
            header.control((ttl, tos, IpPktInfo::source(black_box(source))));
            header.with_raw(|raw| _ = black_box(raw)).unwrap();
        });
    });
    group.bench_function("bytes", |bench| {
        let mut bytes = [0; 80];
        bench.iter(|| {
            let (ttl, tos) = (IpTtl(black_box(ttl)), IpTos(black_box(tos)));
            cmsg::encode(&(ttl, tos, IpPktInfo::source(black_box(source))), black_box(&mut bytes)).unwrap()
        });
        assert_eq!(bytes, three);
    });
    group.bench_function("c", |bench| {
        bench.iter(|| {
            let (mut control, mut header) = (c::Aligned([0; 80]), c::header());
            c::build(&mut control, &mut header, black_box(ttl), Some(black_box(tos)), black_box(source));
            _ = black_box(&header);
        });
    });
    group.finish();
    criterion.final_summary();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: the layouts in C are those of Linux");
}
