//! Records of the kernel's TLS, over a real connection with keys that both ends know.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io::{self, Write},
    iter,
    net::{Shutdown, TcpStream},
};

use ancillary::{
    ControlBuf, ControlVec, FamilyError, MsgFlags, MsgHdr, MsgHdrMut, RecvFlags, SendFlags, ShortReadError, SocketExt,
    batch::RecvBatch,
    cmsg,
    message::{IpTtl, TlsRecordType},
};
use common::{
    cause,
    pairs::{V4, stream, tcp},
    skipped,
};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{
        setsockopt,
        sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp, TlsCryptoInfo},
    },
};

/// AES-GCM with 128 bits, TLS 1.2; a key is used once, for one connection.
fn keys() -> TlsCryptoInfo {
    TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info { version: libc::TLS_1_2_VERSION, cipher_type: libc::TLS_CIPHER_AES_GCM_128 },
        iv: [1; 8],
        key: [2; 16],
        salt: [3; 4],
        rec_seq: [0; 8],
    })
}

/// One end that makes records, another that takes them apart; nothing where this kernel cannot.
fn pair(test: &str) -> Option<(TcpStream, TcpStream)> {
    let (receiver, sender) = tcp(V4);
    for end in [&sender, &receiver] {
        if let Err(error) = setsockopt(end, TcpUlp::default(), b"tls") {
            skipped(format_args!("SKIPPED {test}: no kernel TLS here (TCP_ULP \"tls\", module tls: {error})"));
            return None;
        }
    }
    match setsockopt(&sender, TcpTlsTx, &keys()) {
        Err(error @ Errno::ENOENT) => {
            skipped(format_args!("SKIPPED {test}: no gcm(aes) here (modules gcm, ctr, ghash-generic: {error})"));
            return None;
        }
        result => result.unwrap(),
    }
    setsockopt(&receiver, TcpTlsRx, &keys()).unwrap();
    Some((sender, receiver))
}

fn send(socket: &TcpStream, data: &[u8], record: impl Into<Option<TlsRecordType>>) -> io::Result<usize> {
    MsgHdr::new().data(data).control(record.into()).send(socket)
}

/// The data of the next read, and the type of its records.
fn next(socket: &TcpStream) -> (Vec<u8>, Option<TlsRecordType>) {
    let (mut data, mut control) = ([0; 64], ControlBuf::<TlsRecordType>::new());
    let message = socket.recv_msg(&mut data, &mut control).unwrap();
    message.require_complete().unwrap();
    (message.data().to_vec(), message.extract())
}

#[test]
fn an_alert_arrives_as_an_alert() {
    let Some((sender, receiver)) = pair("an_alert_arrives_as_an_alert") else { return };
    receiver.enable::<TlsRecordType>().unwrap();
    send(&sender, b"before", None).unwrap();
    assert_eq!(next(&receiver), (b"before".to_vec(), Some(TlsRecordType::APPLICATION_DATA)), "the default");
    send(&sender, &[1, 0], TlsRecordType::ALERT).unwrap();
    assert_eq!(next(&receiver), (vec![1, 0], Some(TlsRecordType::ALERT)));
    send(&sender, b"after", None).unwrap();
    assert_eq!(next(&receiver), (b"after".to_vec(), Some(TlsRecordType::APPLICATION_DATA)), "for one send alone");
}

#[test]
fn any_type_of_record_arrives_and_none_with_one_of_another_type() {
    let name = "any_type_of_record_arrives_and_none_with_one_of_another_type";
    let Some((sender, receiver)) = pair(name) else { return };
    let types = [20, 22, 23, 24, 99, 255].map(TlsRecordType);
    for (at, record) in types.into_iter().enumerate() {
        send(&sender, &[at as u8; 3], record).unwrap();
    }
    for (at, record) in types.into_iter().enumerate() {
        assert_eq!(next(&receiver), (vec![at as u8; 3], Some(record)));
    }
}

#[test]
fn a_record_of_another_type_waits_for_room_to_say_so() {
    let Some((sender, receiver)) = pair("a_record_of_another_type_waits_for_room_to_say_so") else { return };
    send(&sender, b"data", None).unwrap();
    let (mut data, mut none) = ([0; 64], ControlVec::<()>::with_capacity(0));
    let message = receiver.recv_msg(&mut data, &mut none).unwrap();
    assert_eq!(message.data(), b"data");
    assert!(message.flags().contains(MsgFlags::CTRUNC), "application data needs no room, and its type is lost");
    send(&sender, &[2, 40], TlsRecordType::ALERT).unwrap();
    let error = receiver.recv_msg(&mut data, &mut none).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    let mut exact = ControlVec::<TlsRecordType>::with_capacity(cmsg::space(1).unwrap());
    let message = receiver.recv_msg(&mut data, &mut exact).unwrap();
    assert_eq!((message.data(), message.extract()), (&[2, 40][..], Some(TlsRecordType::ALERT)));
}

#[test]
fn a_type_cannot_wait_for_more_and_other_messages_need_one() {
    let name = "a_type_cannot_wait_for_more_and_other_messages_need_one";
    let Some((sender, receiver)) = pair(name) else { return };
    let errno = |result: io::Result<usize>| result.unwrap_err().raw_os_error();
    let more = MsgHdr::new().data(b"x").control(TlsRecordType::ALERT).flags(SendFlags::MORE).send(&sender);
    assert_eq!(errno(more), Some(libc::EINVAL));
    assert_eq!(errno(MsgHdr::new().data(b"x").control(IpTtl(9)).send(&sender)), Some(libc::EINVAL));
    let both = (IpTtl(9), TlsRecordType::HANDSHAKE);
    MsgHdr::new().data(b"y").control(both).send(&sender).unwrap();
    assert_eq!(next(&receiver), (b"y".to_vec(), Some(TlsRecordType::HANDSHAKE)), "and nothing of those refused");
}

#[test]
fn without_kernel_tls_nothing_is_asked_for_and_nothing_arrives() {
    let (receiver, sender) = tcp(V4);
    receiver.enable::<TlsRecordType>().unwrap();
    send(&sender, b"plain", TlsRecordType::ALERT).unwrap();
    assert_eq!(next(&receiver), (b"plain".to_vec(), None));
    let error = stream().0.enable::<TlsRecordType>().unwrap_err();
    assert_eq!(cause(&error), Some(FamilyError::new("socket", "AF_INET or AF_INET6", libc::AF_UNIX)));
}

/// Records of another TLS stack with these keys, since the kernel's own sends no empty ones: the type, and what AES-GCM makes
/// of the data, with its sum.
const RECORDS: [(u8, &[u8], u128); 5] = [
    (99, &[], 0xdadd_4a9a_78a8_6881_ccf5_12a7_fc81_0d80),
    (23, &[0xa5, 0x75, 0xd9, 0xd7], 0x2b09_e330_5009_29e2_2e71_972b_cfa2_f63f), // "data"
    (99, &[], 0x4b34_a773_84cc_1cb9_cb87_f8c5_addc_3538),
    (21, &[0x14, 0xf4], 0x7e46_b1f1_1fb1_eddb_4cd2_2a0a_786d_42b1), // warning, close_notify
    (99, &[], 0xbaef_d93c_ae2a_da5f_a352_07f3_eebe_77ee),
];

/// What arrives of them.
const ARRIVING: [(&[u8], u8); 5] = [(b"", 99), (b"data", 23), (b"", 99), (&[1, 0], 21), (b"", 99)];

/// Some of them as they go over the wire.
fn records(which: std::ops::Range<usize>) -> Vec<u8> {
    let record = |at: usize| {
        let (ty, data, sum) = RECORDS[at];
        let head = [ty, 3, 3, 0, (8 + data.len() + 16) as u8, 1, 1, 1, 1, 1, 1, 1, 1 + at as u8];
        [&head[..], data, &sum.to_be_bytes()].concat()
    };
    which.flat_map(record).collect()
}

/// A connection of which one end takes records apart.
fn receiving(test: &str) -> Option<(TcpStream, TcpStream)> {
    pair(test)?; // which says what is missing
    let (receiver, sender) = tcp(V4);
    setsockopt(&receiver, TcpUlp::default(), b"tls").unwrap();
    setsockopt(&receiver, TcpTlsRx, &keys()).unwrap();
    Some((sender, receiver))
}

/// Once the kernel has taken a record apart for a look, it says no longer that it is whole.
#[test]
fn an_empty_record_is_no_end() {
    for (ends_before, looks) in [(false, 0), (true, 0), (false, 1), (true, 2)] {
        let Some((mut sender, receiver)) = receiving("an_empty_record_is_no_end") else { return };
        sender.write_all(&records(0..5)).unwrap();
        if ends_before {
            sender.shutdown(Shutdown::Write).unwrap();
        }
        let (mut data, mut control) = ([0; 64], ControlBuf::<TlsRecordType>::new());
        for (at, (text, ty)) in ARRIVING.into_iter().enumerate() {
            for flags in iter::repeat_n(RecvFlags::PEEK, looks).chain([RecvFlags::empty()]) {
                let message = MsgHdrMut::new().data(&mut data).flags(flags).recv(&receiver, &mut control).unwrap();
                let found = (message.len(), message.extract(), message.is_eof());
                assert_eq!(found, (text.len(), Some(TlsRecordType(ty)), false), "{at}: {flags:?}");
                assert_eq!(&data[..text.len()], text);
            }
        }
        drop(sender);
        for _ in 0..2 {
            let message = receiver.recv_msg(&mut data, &mut control).unwrap();
            assert_eq!((message.data(), message.extract(), message.is_eof()), (&b""[..], None, true));
        }
    }
}

#[test]
fn an_empty_record_adds_nothing_to_an_exact_number_of_bytes() {
    let test = "an_empty_record_adds_nothing_to_an_exact_number_of_bytes";
    let Some((mut sender, receiver)) = receiving(test) else { return };
    sender.write_all(&records(0..3)).unwrap();
    let (mut data, mut control) = ([0; 4], ControlBuf::<TlsRecordType>::new());
    let message = receiver.recv_exact(&mut data, &mut control).unwrap();
    assert_eq!(message.extract(), Some(TlsRecordType::APPLICATION_DATA), "the last one's");
    assert_eq!(&data, b"data");
    drop(sender);
    let error = receiver.recv_exact(&mut data, &mut control).unwrap_err();
    let error = cause::<ShortReadError>(&error).unwrap();
    assert_eq!((error.expected, error.received), (4, 0));
}

/// Data, and the type of its record.
type Record = (Vec<u8>, Option<TlsRecordType>);

/// What this call brings, but for the end, and whether that came.
fn told(batch: &mut RecvBatch<TlsRecordType>, socket: &TcpStream) -> (Vec<Record>, bool) {
    let mut ended = false;
    let mut found = Vec::new();
    for message in batch.recv(socket).unwrap() {
        assert!(!ended, "the end is last: {found:?}");
        ended = message.is_eof();
        found.push((message.data().to_vec(), message.extract()));
    }
    if ended {
        assert_eq!(found.pop(), Some((vec![], None)));
    }
    (found, ended)
}

#[test]
fn an_empty_record_in_a_batch_is_no_end() {
    let test = "an_empty_record_in_a_batch_is_no_end";
    let expected = ARRIVING.map(|(text, ty)| (text.to_vec(), Some(TlsRecordType(ty))));
    // As many as one call may bring; from which record on they come later than the first call; whether the end is there.
    for room in [1, 2, 3, 4, 5, 8] {
        for (later, ends_before) in [(5, false), (5, true), (1, false), (3, true)] {
            let Some((mut sender, receiver)) = receiving(test) else { return };
            let (mut batch, mut found, mut ended) = (RecvBatch::new(room, 64), Vec::new(), false);
            for part in [0..later, later..5] {
                sender.write_all(&records(part.clone())).unwrap();
                if ends_before && part.end == 5 {
                    sender.shutdown(Shutdown::Write).unwrap();
                }
                while found.len() < part.end {
                    assert!(!ended, "{room} {later}: {found:?}");
                    let (messages, end) = told(&mut batch, &receiver);
                    found.extend(messages);
                    ended = end;
                }
            }
            assert_eq!(found, expected, "{room} {later}");
            drop(sender);
            assert!(ends_before || !ended);
            assert_eq!(told(&mut batch, &receiver), (vec![], true));
        }
    }
}
