//! What several tests need: both layers of sockets, endpoints that trust each other, a time limit.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(unreachable_pub, reason = "one module for several programs")]

pub mod layer;

use std::{
    future::Future,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, Runtime, ServerConfig, TransportConfig,
    rustls::{RootCertStore, pki_types::PrivatePkcs8KeyDer},
};

/// Nothing here waits so long; a test that hangs fails instead.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Who makes the sockets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// This package.
    Ours,
    /// quinn, by the quinn-udp that it depends on.
    Quinns,
}

impl Layer {
    pub fn wrap(self, socket: UdpSocket) -> Arc<dyn AsyncUdpSocket> {
        match self {
            Self::Ours => ancillary_quinn::TokioRuntime.wrap_udp_socket(socket),
            Self::Quinns => quinn::TokioRuntime.wrap_udp_socket(socket),
        }
        .unwrap()
    }
}

/// Runs it on one thread, and fails if it takes too long.
pub fn run<R>(test: impl Future<Output = R>) -> R {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async { tokio::time::timeout(TIMEOUT, test).await.expect("in time") })
}

/// A server's configuration with a certificate of its own for `localhost`, and a client's that trusts it.
pub fn configs() -> (ServerConfig, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::with_single_cert(vec![certificate], key.into()).unwrap();
    (server, ClientConfig::with_root_certificates(Arc::new(roots)).unwrap())
}

pub fn endpoint(socket: Arc<dyn AsyncUdpSocket>, server: Option<ServerConfig>) -> Endpoint {
    let runtime = Arc::new(ancillary_quinn::TokioRuntime);
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, runtime).unwrap()
}

/// A server and a client on these sockets, connected by way of `to`.
pub async fn connect(
    server: Arc<dyn AsyncUdpSocket>,
    client: Arc<dyn AsyncUdpSocket>,
    to: SocketAddr,
) -> (Endpoint, Connection, Endpoint, Connection) {
    connect_with(TransportConfig::default(), server, client, to).await
}

/// The same with a configuration for both.
pub async fn connect_with(
    transport: TransportConfig,
    server: Arc<dyn AsyncUdpSocket>,
    client: Arc<dyn AsyncUdpSocket>,
    to: SocketAddr,
) -> (Endpoint, Connection, Endpoint, Connection) {
    let ((mut configured, mut trusting), transport) = (configs(), Arc::new(transport));
    configured.transport_config(Arc::clone(&transport));
    trusting.transport_config(transport);
    let (server, mut client) = (endpoint(server, Some(configured)), endpoint(client, None));
    client.set_default_client_config(trusting);
    let connecting = client.connect(to, "localhost").unwrap();
    let accepting = async { server.accept().await.expect("an endpoint that is open").await };
    let (asked, answered) = tokio::join!(connecting, accepting);
    let (asked, answered) = (asked.unwrap(), answered.unwrap());
    (server, answered, client, asked)
}

/// Bytes that do not repeat where datagrams do.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251 + at / 251 % 7) as u8).collect()
}

/// Sends the bytes there and back, and returns what came back.
pub async fn there_and_back(client: &Connection, server: &Connection, bytes: &[u8]) -> Vec<u8> {
    let echo = async {
        let (mut send, mut recv) = server.accept_bi().await.unwrap();
        let bytes = recv.read_to_end(usize::MAX).await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
    };
    let ask = async {
        let (mut send, mut recv) = client.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        recv.read_to_end(usize::MAX).await.unwrap()
    };
    tokio::join!(echo, ask).1
}

/// Whether this machine has IPv6; says so where it has not.
pub fn has_v6(test: &str) -> bool {
    let bound = UdpSocket::bind("[::1]:0");
    if let Err(error) = &bound {
        say(format_args!("SKIPPED {test}: no IPv6 loopback ({error})"));
    }
    bound.is_ok()
}

/// Says it past the harness, which would keep it to itself.
pub fn say(what: impl std::fmt::Display) {
    use std::io::Write;
    // In one piece: tests run side by side.
    let _ = std::io::stderr().write_all(format!("{what}\n").as_bytes());
}
