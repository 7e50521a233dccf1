//! Gathering: one datagram of several slices, against hand-written C.

mod c;
mod settings;

use std::{
    io::{self, IoSlice},
    os::{fd::AsFd, unix::net::UnixDatagram},
};

use ancillary::MsgHdr;
use criterion::{BenchmarkId, Throughput};

fn main() -> io::Result<()> {
    let mut criterion = settings::criterion();
    let (a, b) = UnixDatagram::pair()?;
    let mut arrived = vec![0; 65536];
    for total in [64, 4096, 65536] {
        let data: Vec<u8> = (0..total).map(|n| n as u8).collect();
        let mut group = criterion.benchmark_group(format!("gather/{total}B"));
        group.throughput(Throughput::Bytes(total as u64));
        for count in [1, 4, 16, 64] {
            let pieces: Vec<&[u8]> = data.chunks(total / count).collect();
            assert_eq!(pieces.len(), count);

            group.bench_with_input(BenchmarkId::new("data", count), &pieces, |bench, pieces| {
                bench.iter(|| {
                    let mut message = MsgHdr::new();
                    for piece in pieces {
                        message.data(piece);
                    }
                    assert_eq!(message.send(&a).unwrap(), total);
                    assert_eq!(b.recv(&mut arrived).unwrap(), total);
                });
                assert_eq!(arrived[..total], data);
            });
            arrived.fill(0);

            group.bench_with_input(BenchmarkId::new("slices", count), &pieces, |bench, pieces| {
                let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                bench.iter(|| {
                    assert_eq!(MsgHdr::new().slices(&slices).send(&a).unwrap(), total);
                    assert_eq!(b.recv(&mut arrived).unwrap(), total);
                });
                assert_eq!(arrived[..total], data);
            });
            arrived.fill(0);

            group.bench_with_input(BenchmarkId::new("c", count), &pieces, |bench, pieces| {
                bench.iter(|| {
                    let mut iov = [c::iovec(&[]); 64];
                    for (entry, piece) in iov.iter_mut().zip(pieces) {
                        *entry = c::iovec(piece);
                    }
                    assert_eq!(c::send(a.as_fd(), &iov[..count], &[]), total);
                    assert_eq!(b.recv(&mut arrived).unwrap(), total);
                });
                assert_eq!(arrived[..total], data);
            });
            arrived.fill(0);
        }
    }
    criterion.final_summary();
    Ok(())
}
