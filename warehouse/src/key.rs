//! The key that stored secrets are encrypted with: AES-256-GCM, a random nonce for every write, and
//! the place of the secret as associated data, so that no secret can stand in for another.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes of a nonce.
const NONCE: usize = 12;

/// A key of 32 bytes, and older ones that it takes the place of: they open what was written with them. They
/// are never shown; their ids are.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    key: [u8; 32],
    older: Vec<[u8; 32]>,
}

impl SecretKey {
    /// Reads a key from 64 hexadecimal digits; older ones may follow it, separated by commas or white space.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split([',', ' ', '\t', '\r', '\n']);
        let keys: Option<Vec<[u8; 32]>> =
            parts.filter(|part| !part.is_empty()).map(parse).collect();
        let mut keys = keys?.into_iter();
        Some(Self {
            key: keys.next()?,
            older: keys.collect(),
        })
    }

    /// Makes a new key.
    pub fn random() -> Result<Self> {
        let mut key = [0; 32];
        fill(&mut key)?;
        Ok(Self {
            key,
            older: Vec::new(),
        })
    }

    /// A new key that takes the place of this one.
    pub fn successor(&self) -> Result<Self> {
        let older = std::iter::once(self.key).chain(self.older.iter().copied());
        Ok(Self {
            older: older.collect(),
            ..Self::random()?
        })
    }

    /// The same without older ones.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self {
            key: self.key,
            older: Vec::new(),
        }
    }

    /// The key as 64 hexadecimal digits, older ones on lines of their own, for the file that keeps them.
    pub fn reveal(&self) -> String {
        let keys = std::iter::once(&self.key).chain(&self.older);
        let lines: Vec<String> = keys.map(|key| hex(key)).collect();
        lines.join("\n")
    }

    /// Tells keys apart without saying anything about them.
    pub fn id(&self) -> String {
        let digest = Sha256::new()
            .chain_update("sprint-reports key id")
            .chain_update(self.key)
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
            .cipher(&self.key)
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
        let mut keys = std::iter::once(&self.key).chain(&self.older);
        let text = keys.find_map(|key| {
            let payload = Payload {
                msg: payload.msg,
                aad: payload.aad,
            };
            self.cipher(key).decrypt(&Nonce::from(*nonce), payload).ok()
        });
        String::from_utf8(text?).ok()
    }

    fn cipher(&self, key: &[u8; 32]) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(id {})", self.id())
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
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
        SecretKey {
            key: [byte; 32],
            older: Vec::new(),
        }
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
    fn a_successor_opens_what_older_keys_closed() {
        let old = key(1);
        let sealed = old.seal("acme", "hunter2").unwrap();
        let new = old.successor().unwrap();
        assert_ne!(new.id(), old.id());
        assert_eq!(new.open("acme", &sealed).unwrap(), "hunter2");
        assert_eq!(new.alone().open("acme", &sealed), None);
        let again = new.seal("acme", "hunter2").unwrap();
        assert_eq!(old.open("acme", &again), None);
        assert_eq!(new.alone().open("acme", &again).unwrap(), "hunter2");
        // As a file, and as a variable.
        assert_eq!(SecretKey::parse(&new.reveal()), Some(new.clone()));
        assert_eq!(
            SecretKey::parse(&new.reveal().replace('\n', ",")),
            Some(new)
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", key(171));
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
        assert!(shown.contains(&key(171).id()));
        assert_ne!(key(1).id(), key(2).id());
    }
}
