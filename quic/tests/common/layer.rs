//! A socket as quinn uses it, without quinn: one transmit, one receive.

use std::{
    future::poll_fn,
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
};

use quinn::{
    AsyncUdpSocket,
    udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit},
};

/// Buffers for one receive, made once.
pub struct Room {
    pub data: Vec<Vec<u8>>,
    pub metas: Vec<RecvMeta>,
}

impl Room {
    /// As many as quinn has.
    pub fn new() -> Self {
        Self { data: vec![vec![0; 1 << 16]; BATCH_SIZE], metas: vec![RecvMeta::default(); BATCH_SIZE] }
    }

    /// The messages of one receive; how many.
    pub async fn recv(&mut self, socket: &dyn AsyncUdpSocket) -> io::Result<usize> {
        let mut buffers = self.data.iter_mut();
        let mut slices =
            [(); BATCH_SIZE].map(|()| IoSliceMut::new(buffers.next().map_or(&mut [], |data| &mut data[..])));
        poll_fn(|cx| socket.poll_recv(cx, &mut slices, &mut self.metas)).await
    }
}

/// Receives until so many bytes have come: what each message said, and all of their data.
pub async fn recv_bytes(socket: &dyn AsyncUdpSocket, bytes: usize) -> (Vec<RecvMeta>, Vec<u8>) {
    let (mut room, mut metas, mut data) = (Room::new(), Vec::new(), Vec::new());
    while data.len() < bytes {
        let count = room.recv(socket).await.unwrap();
        for (meta, bytes) in room.metas[..count].iter().zip(&room.data) {
            metas.push(*meta);
            data.extend_from_slice(&bytes[..meta.len]);
        }
    }
    (metas, data)
}

/// A transmit, sent as soon as the socket takes it; how often it did not.
pub async fn send(socket: &Arc<dyn AsyncUdpSocket>, transmit: &Transmit<'_>) -> usize {
    let mut poller = Arc::clone(socket).create_io_poller();
    let mut refused = 0;
    loop {
        poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
        match socket.try_send(transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => refused += 1,
            result => {
                result.unwrap();
                return refused;
            }
        }
    }
}

pub fn transmit<'a>(
    destination: SocketAddr,
    contents: &'a [u8],
    segment_size: Option<usize>,
    ecn: Option<EcnCodepoint>,
) -> Transmit<'a> {
    Transmit { destination, ecn, contents, segment_size, src_ip: None }
}
