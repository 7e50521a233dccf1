//! Whole connections.

mod common;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ancillary::set_option;
use common::{Layer, connect, has_v6, pattern, run, there_and_back};

const BYTES: usize = 3_000_001;

/// Binds both, connects by way of `to`, and compares what comes back.
fn transfers(server: (Layer, UdpSocket), client: (Layer, UdpSocket), to: SocketAddr) {
    run(async {
        let (server, client) = (server.0.wrap(server.1), client.0.wrap(client.1));
        let (_server, answered, _client, asked) = connect(server, client, to).await;
        let bytes = pattern(BYTES);
        assert!(there_and_back(&asked, &answered, &bytes).await == bytes, "other bytes came back");
    });
}

fn bound(to: &str) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind(to).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A socket of IPv6 that takes IPv4 too, whatever `net.ipv6.bindv6only` says.
fn dual_stack() -> (UdpSocket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    let socket = UdpSocket::from(socket);
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn a_transfer_over_ipv4_brings_every_byte() {
    let (server, port) = bound("127.0.0.1:0");
    let (client, _) = bound("127.0.0.1:0");
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv4Addr::LOCALHOST, port).into());
}

#[test]
fn a_transfer_over_ipv6_brings_every_byte() {
    if !has_v6("a_transfer_over_ipv6_brings_every_byte") {
        return;
    }
    let (server, port) = bound("[::1]:0");
    let (client, _) = bound("[::1]:0");
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv6Addr::LOCALHOST, port).into());
}

#[test]
fn a_dual_stack_server_serves_clients_of_both_families() {
    if !has_v6("a_dual_stack_server_serves_clients_of_both_families") {
        return;
    }
    let ((server, port), (client, _)) = (dual_stack(), bound("127.0.0.1:0"));
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv4Addr::LOCALHOST, port).into());
    let ((server, port), (client, _)) = (dual_stack(), bound("[::1]:0"));
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv6Addr::LOCALHOST, port).into());
}

#[test]
fn a_dual_stack_client_reaches_servers_of_both_families() {
    if !has_v6("a_dual_stack_client_reaches_servers_of_both_families") {
        return;
    }
    let ((server, port), (client, _)) = (bound("127.0.0.1:0"), dual_stack());
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv4Addr::LOCALHOST, port).into());
    let ((server, port), (client, _)) = (bound("[::1]:0"), dual_stack());
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv6Addr::LOCALHOST, port).into());
}

#[test]
fn quinns_own_sockets_understand_ours() {
    for (one, other) in [(Layer::Ours, Layer::Quinns), (Layer::Quinns, Layer::Ours)] {
        let ((server, port), (client, _)) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        transfers((one, server), (other, client), (Ipv4Addr::LOCALHOST, port).into());
    }
}

/// Without checksums the kernel refuses to cut (EINVAL).
#[test]
fn a_transfer_completes_where_the_kernel_does_not_cut_datagrams() {
    let ((server, port), (client, _)) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    for socket in [&server, &client] {
        set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    }
    transfers((Layer::Ours, server), (Layer::Ours, client), (Ipv4Addr::LOCALHOST, port).into());
}
