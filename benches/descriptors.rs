//! Descriptors: sent, received, closed, against hand-written C.

#[cfg(target_os = "linux")]
mod c;
#[cfg(target_os = "linux")]
mod settings;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use ancillary::{
        ControlBuf, MsgHdr, SocketExt,
        message::{RecvList, ScmRights, ScmRightsSpace},
    };
    use criterion::{BenchmarkId, Throughput};
    use std::{
        fs::File,
        os::{
            fd::{AsFd, AsRawFd},
            unix::net::UnixStream,
        },
    };
    type Fds = ScmRightsSpace<253>;

    let mut criterion = settings::criterion();
    let (a, b) = UnixStream::pair()?;
    let file = File::open("/dev/null")?;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for count in [1, 8, 253] {
        let fds = vec![file.as_fd(); count];
        let mut group = criterion.benchmark_group("descriptors");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("taken", count), |bench| {
            let mut control = ControlBuf::<Fds, { <Fds as RecvList>::SPACE }>::new();
            bench.iter(|| {
                MsgHdr::new().data(b"x").control(ScmRights::new(fds.iter().copied())).send(&a).unwrap();
                let mut data = [0; 1];
                let mut message = b.recv_msg(&mut data, &mut control).unwrap();
                assert_eq!(message.take_fds().map(drop).count(), count);
            });
        });
        assert_eq!(open(), before);
        group.bench_function(BenchmarkId::new("left to the buffer", count), |bench| {
            let mut control = ControlBuf::<Fds, { <Fds as RecvList>::SPACE }>::new();
            bench.iter(|| {
                MsgHdr::new().data(b"x").control(ScmRights::new(fds.iter().copied())).send(&a).unwrap();
                let mut data = [0; 1];
                assert_eq!(b.recv_msg(&mut data, &mut control).unwrap().extract(), Some(Fds { count }));
                control.clear();
            });
        });
        assert_eq!(open(), before);
        group.bench_function(BenchmarkId::new("recv_fds", count), |bench| {
            bench.iter(|| {
                a.send_fds(b"x", fds.iter().copied()).unwrap();
                assert_eq!(b.recv_fds::<253>(&mut [0; 1]).unwrap().fds().count(), count);
            });
        });
        assert_eq!(open(), before);
        group.bench_function(BenchmarkId::new("c", count), |bench| {
            let numbers: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            bench.iter(|| {
                c::send_fds(a.as_fd(), b"x", &numbers);
                assert_eq!(c::receive_and_close(b.as_fd(), &mut [0; 1]), count);
            });
        });
        assert_eq!(open(), before);
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: the layouts in C are those of Linux");
}
