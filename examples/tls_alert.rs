//! Records of the kernel's TLS: data, then an alert, which a plain read could not tell from data (Linux).
//!
//! `tls_alert` makes a connection to itself, gives the kernel keys for both ends, and prints each record with its type. In a
//! program, a TLS library does the handshake and hands the keys over; behind it every record that is not data, alerts
//! first of all, comes with a [`TlsRecordType`]. Always give room for it: without, such a record is an error (EIO).
//!
//! It takes a kernel with the module `tls` (`modprobe tls`), and `gcm(aes)`; without them it says so.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::{
        io,
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use ancillary::{ControlBuf, MsgHdr, SocketExt, message::TlsRecordType};
    use nix::{
        libc,
        sys::socket::{
            setsockopt,
            sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp, TlsCryptoInfo},
        },
    };

    /// What a handshake would have agreed on: AES-GCM with 128 bits, TLS 1.2. Keys are for one connection.
    fn keys() -> TlsCryptoInfo {
        TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
            info: libc::tls_crypto_info { version: libc::TLS_1_2_VERSION, cipher_type: libc::TLS_CIPHER_AES_GCM_128 },
            iv: [1; 8],
            key: [2; 16],
            salt: [3; 4],
            rec_seq: [0; 8],
        })
    }

    /// One end that makes records, and one that takes them apart.
    fn give_keys(sender: &TcpStream, receiver: &TcpStream) -> nix::Result<()> {
        setsockopt(sender, TcpUlp::default(), b"tls")?;
        setsockopt(receiver, TcpUlp::default(), b"tls")?;
        setsockopt(sender, TcpTlsTx, &keys())?;
        setsockopt(receiver, TcpTlsRx, &keys())
    }

    /// A name for the few that are seen (RFC 8446 s. 6).
    fn description(alert: u8) -> &'static str {
        match alert {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            40 => "handshake_failure",
            80 => "internal_error",
            _ => "another",
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
    if let Err(error) = give_keys(&sender, &receiver) {
        println!("SKIPPED: no TLS in this kernel (modules tls, gcm, ghash-generic): {error}");
        return Ok(());
    }

    MsgHdr::new().data(b"the last ").data(b"words").send_all(&sender)?; // application data, without being told
    // A warning, and no fault: the end.
    MsgHdr::new().data(&[1, 0]).control(TlsRecordType::ALERT).send(&sender)?;

    let (mut data, mut control) = ([0; 16384], ControlBuf::<TlsRecordType>::new());
    loop {
        // The records of one read are of one type.
        let message = receiver.recv_msg(&mut data, &mut control)?;
        if message.is_eof() {
            // Cut off: without an alert nobody knows whether that was all.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match (message.extract(), message.data()) {
            (Some(TlsRecordType::APPLICATION_DATA), data) => {
                println!("application_data: {:?}", data.escape_ascii().to_string());
            }
            (Some(TlsRecordType::ALERT), &[level, alert]) => {
                let level = if level == 2 { "fatal" } else { "warning" };
                println!("alert: {level}, {} ({alert})", description(alert));
                return Ok(());
            }
            (Some(record), data) => println!("{record}: {} bytes", data.len()),
            (None, _) => return Err(io::Error::other("a record without a type: no TLS")),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the kernel's TLS is Linux's here");
}
