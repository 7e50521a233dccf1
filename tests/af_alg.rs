//! The kernel's ciphers, with the known answers of their standards.

#![cfg(target_os = "linux")]

mod common;

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use ancillary::{
    ControlBuf, MsgHdr, SendControl, SendFlags, SocketExt,
    message::{AlgSetAeadAssocLen, AlgSetIv, AlgSetOp},
};
use common::{TIMEOUT, raw::accept, skipped};
use nix::{
    libc,
    sys::socket::{
        AlgAddr, bind, setsockopt,
        sockopt::{AlgSetAeadAuthSize, AlgSetKey},
    },
};
use socket2::{Domain, Socket, Type};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// The socket of a cipher with a key, and one to work with; nothing where this kernel has no such cipher.
fn cipher(test: &str, kind: &str, name: &str, key: &[u8]) -> Option<(Socket, Socket)> {
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::from(libc::AF_ALG), Type::SEQPACKET, None)?;
        bind(socket.as_raw_fd(), &AlgAddr::new(kind, name))?;
        Ok(socket)
    };
    let cipher = match open() {
        Ok(cipher) => cipher,
        Err(error) => {
            skipped(format_args!("SKIPPED {test}: no AF_ALG {kind} {name} here (module algif_{kind}: {error})"));
            return None;
        }
    };
    setsockopt(&cipher, AlgSetKey::default(), &key).unwrap();
    if kind == "aead" {
        setsockopt(&cipher, AlgSetAeadAuthSize, &16).unwrap();
    }
    let work = work(&cipher);
    Some((cipher, work))
}

fn work(cipher: &Socket) -> Socket {
    let work: OwnedFd = accept(cipher).unwrap();
    let work = Socket::from(work);
    work.set_read_timeout(TIMEOUT).unwrap();
    work
}

fn send(work: &Socket, data: &[u8], control: impl for<'fd> SendControl<'fd>) -> io::Result<usize> {
    MsgHdr::new().data(data).control(control).send(work)
}

fn read(work: &Socket, len: usize) -> io::Result<Vec<u8>> {
    let (mut data, mut control) = (vec![0; len], ControlBuf::<()>::new());
    let message = work.recv_msg(&mut data, &mut control)?;
    Ok(message.data().to_vec())
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

// NIST SP 800-38A, F.2.1: AES-128 in CBC mode, the first two blocks.
const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
const CIPHER: &str = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2";

#[test]
fn a_cipher_does_what_the_operation_and_the_vector_say() {
    let name = "a_cipher_does_what_the_operation_and_the_vector_say";
    let Some((_cipher, work)) = cipher(name, "skcipher", "cbc(aes)", &bytes::<16>(KEY)) else { return };
    let (iv, plain, cipher) = (bytes::<16>(IV), bytes::<32>(PLAIN), bytes::<32>(CIPHER));
    for (op, from, to) in [(AlgSetOp::Encrypt, plain, cipher), (AlgSetOp::Decrypt, cipher, plain)] {
        send(&work, &from, (op, AlgSetIv(&iv))).unwrap();
        assert_eq!(read(&work, 32).unwrap(), to, "{op:?}");
        send(&work, &from, (AlgSetIv(&iv), op)).unwrap();
        assert_eq!(read(&work, 32).unwrap(), to, "{op:?}, in any order");
    }
    let other = [0; 16];
    send(&work, &plain, (AlgSetOp::Encrypt, AlgSetIv(&other))).unwrap();
    assert_ne!(read(&work, 32).unwrap(), cipher, "the vector counts");
    send(&work, &cipher, AlgSetIv(&iv)).unwrap();
    assert_eq!(read(&work, 32).unwrap(), plain, "without an operation it decrypts");
}

#[test]
fn a_later_piece_goes_on_with_the_operation() {
    let name = "a_later_piece_goes_on_with_the_operation";
    let Some((_cipher, work)) = cipher(name, "skcipher", "cbc(aes)", &bytes::<16>(KEY)) else { return };
    let (iv, plain, cipher) = (bytes::<16>(IV), bytes::<32>(PLAIN), bytes::<32>(CIPHER));
    let mut first = MsgHdr::new();
    first.data(&plain[..16]).control((AlgSetOp::Encrypt, AlgSetIv(&iv))).flags(SendFlags::MORE);
    assert_eq!(first.send(&work).unwrap(), 16);
    send(&work, &plain[16..], ()).unwrap();
    assert_eq!(errno(send(&work, &plain, AlgSetOp::Encrypt)), Some(libc::EINVAL), "there is data to be read");
    assert_eq!(read(&work, 32).unwrap(), cipher);
}

#[test]
fn a_vector_of_another_length_than_the_ciphers_is_refused() {
    let name = "a_vector_of_another_length_than_the_ciphers_is_refused";
    let Some((socket, _)) = cipher(name, "skcipher", "cbc(aes)", &bytes::<16>(KEY)) else { return };
    for len in [0, 1, 15, 17, 32, 64] {
        let sent = send(&work(&socket), &[0; 16], (AlgSetOp::Encrypt, AlgSetIv(&[0; 64][..len])));
        assert_eq!(errno(sent), Some(libc::EINVAL), "{len} bytes");
    }
    send(&work(&socket), &[0; 16], (AlgSetOp::Encrypt, AlgSetIv(&[0; 16]))).unwrap();
}

#[test]
fn a_cipher_without_a_vector_takes_an_empty_one() {
    let name = "a_cipher_without_a_vector_takes_an_empty_one";
    let Some((_cipher, work)) = cipher(name, "skcipher", "ecb(aes)", &bytes::<16>(KEY)) else { return };
    // NIST SP 800-38A, F.1.1
    let plain = bytes::<16>(&PLAIN[..32]);
    send(&work, &plain, (AlgSetOp::Encrypt, AlgSetIv(&[]))).unwrap();
    assert_eq!(read(&work, 16).unwrap(), bytes::<16>("3ad77bb40d7a3660a89ecaf32466ef97"));
}

// The specification of GCM, test case 4: AES-128 with 20 bytes that are only authenticated.
const GCM_KEY: &str = "feffe9928665731c6d6a8f9467308308";
const GCM_IV: &str = "cafebabefacedbaddecaf888";
const ASSOC: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const GCM_PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const GCM_CIPHER: &str = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
                          21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091";
const TAG: &str = "5bc94fbc3221a5db94fae95ae7121a47";

#[test]
fn associated_data_is_authenticated_and_stays_as_it_is() {
    let name = "associated_data_is_authenticated_and_stays_as_it_is";
    let Some((_cipher, work)) = cipher(name, "aead", "gcm(aes)", &bytes::<16>(GCM_KEY)) else { return };
    let (iv, assoc) = (bytes::<12>(GCM_IV), bytes::<20>(ASSOC));
    let plain = [&assoc[..], &bytes::<60>(GCM_PLAIN)].concat();
    let sealed = [&assoc[..], &bytes::<60>(GCM_CIPHER), &bytes::<16>(TAG)].concat();
    send(&work, &plain, (AlgSetOp::Encrypt, AlgSetIv(&iv), AlgSetAeadAssocLen(20))).unwrap();
    assert_eq!(read(&work, sealed.len()).unwrap(), sealed);
    send(&work, &sealed, (AlgSetOp::Decrypt, AlgSetIv(&iv), AlgSetAeadAssocLen(20))).unwrap();
    assert_eq!(read(&work, plain.len()).unwrap(), plain);
}

#[test]
fn another_length_of_associated_data_is_not_authentic() {
    let name = "another_length_of_associated_data_is_not_authentic";
    let Some((socket, _)) = cipher(name, "aead", "gcm(aes)", &bytes::<16>(GCM_KEY)) else { return };
    let iv = bytes::<12>(GCM_IV);
    let sealed = [&bytes::<20>(ASSOC)[..], &bytes::<60>(GCM_CIPHER), &bytes::<16>(TAG)].concat();
    for (len, expected) in [(19, libc::EBADMSG), (0, libc::EBADMSG), (97, libc::EINVAL), (0x7fff_ffff, libc::EINVAL)] {
        let work = work(&socket);
        send(&work, &sealed, (AlgSetOp::Decrypt, AlgSetIv(&iv), AlgSetAeadAssocLen(len))).unwrap();
        assert_eq!(errno(read(&work, 80)), Some(expected), "{len} bytes");
    }
}
