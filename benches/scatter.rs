//! Scattering: one datagram into several slices, against hand-written C.

mod c;
mod settings;

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixDatagram},
};

use ancillary::{ControlBuf, MsgHdrMut};
use criterion::{BenchmarkId, Throughput};

fn main() -> io::Result<()> {
    let mut criterion = settings::criterion();
    let (a, b) = UnixDatagram::pair()?;
    let mut arrived = vec![0; 65536];
    for total in [64, 4096, 65536] {
        let data: Vec<u8> = (0..total).map(|n| n as u8).collect();
        let mut group = criterion.benchmark_group(format!("scatter/{total}B"));
        group.throughput(Throughput::Bytes(total as u64));
        for count in [1, 4, 16, 64] {
            let piece = total / count;

            group.bench_function(BenchmarkId::new("buf", count), |bench| {
                let mut control = ControlBuf::<()>::new();
                bench.iter(|| {
                    assert_eq!(a.send(&data).unwrap(), total);
                    let mut header = MsgHdrMut::new();
                    for piece in arrived[..total].chunks_mut(piece) {
                        header.data(piece);
                    }
                    assert_eq!(header.recv(&b, &mut control).unwrap().len(), total);
                });
                assert_eq!(arrived[..total], data);
            });
            arrived.fill(0);

            group.bench_function(BenchmarkId::new("c", count), |bench| {
                let mut control = c::Aligned([0; 256]);
                let mut name = c::Aligned([0; 128]);
                bench.iter(|| {
                    assert_eq!(a.send(&data).unwrap(), total);
                    let mut iov = [c::iovec(&[]); 64];
                    for (entry, piece) in iov.iter_mut().zip(arrived[..total].chunks_mut(piece)) {
                        *entry = c::iovec_mut(piece);
                    }
                    // SAFETY: the entries describe distinct pieces of `arrived`.
                    let (len, _) = unsafe { c::receive(b.as_fd(), &mut iov[..count], &mut control.0, &mut name.0) };
                    assert_eq!(len, total);
                });
                assert_eq!(arrived[..total], data);
            });
            arrived.fill(0);
        }
    }
    criterion.final_summary();
    Ok(())
}
