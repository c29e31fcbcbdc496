//! The key that stored secrets are encrypted with: AES-256-GCM, a random nonce for every write, and
//! the place of the secret as associated data, so that no secret can stand in for another.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes of a nonce.
const NONCE: usize = 12;

/// A key of 32 bytes. It is never shown; its id is.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Reads a key from 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(key))
    }

    /// Makes a new key.
    pub fn random() -> Result<Self> {
        let mut key = [0; 32];
        fill(&mut key)?;
        Ok(Self(key))
    }

    /// The key as 64 hexadecimal digits, for the file that keeps it.
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// Tells keys apart without saying anything about them.
    pub fn id(&self) -> String {
        let digest = Sha256::new()
            .chain_update("sprint-reports key id")
            .chain_update(self.0)
            .finalize();
        hex(&digest[..4])
    }

    /// Encrypts a text for a place; the nonce stands before the rest.
    pub(crate) fn seal(&self, place: &str, text: &str) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let payload = Payload {
            msg: text.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::Cipher("the text is too long".to_string()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what was encrypted for a place; `None` when it was not, or was changed.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        let text = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        String::from_utf8(text).ok()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(id {})", self.id())
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::Cipher(format!("this machine gives no random bytes: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey([byte; 32])
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        let made = SecretKey::random().unwrap();
        assert_eq!(SecretKey::parse(&made.reveal()), Some(made.clone()));
        assert_ne!(SecretKey::random().unwrap(), made);
        let upper = format!(" {}\n", "0A".repeat(32));
        assert_eq!(SecretKey::parse(&upper), Some(key(10)));
        for wrong in [
            "",
            "0a",
            &"0a".repeat(33),
            &"0g".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(SecretKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_key_and_the_place_open_it() {
        let sealed = key(1).seal("acme/oauth", "hunter2").unwrap();
        assert_eq!(key(1).open("acme/oauth", &sealed).unwrap(), "hunter2");
        assert_eq!(key(2).open("acme/oauth", &sealed), None);
        assert_eq!(key(1).open("other/oauth", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key(1).open("acme/oauth", &changed), None, "byte {at}");
            assert_eq!(key(1).open("acme/oauth", &sealed[..at]), None);
        }
        // Two writes of the same text have nothing in common.
        let again = key(1).seal("acme/oauth", "hunter2").unwrap();
        assert_ne!(again[..NONCE], sealed[..NONCE]);
        assert_ne!(again[NONCE..], sealed[NONCE..]);
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", key(171));
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
        assert!(shown.contains(&key(171).id()));
        assert_ne!(key(1).id(), key(2).id());
    }
}
