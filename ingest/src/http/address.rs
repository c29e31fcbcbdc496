//! Which addresses a request may go to. A name in the settings, or one that somebody else controls, must
//! not lead into the network that this machine stands in, unless the settings say that it may.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Resolves names to public addresses only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| is_public(address.ip()))
                .collect();
            if let (Some(first), true) = (found.first(), public.is_empty()) {
                return Err(private(name.as_str(), first.ip()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// How far requests to an address of the settings may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Plain text beyond this machine is allowed.
    pub insecure: bool,
    /// Addresses of private networks are allowed.
    pub private: bool,
}

impl Reach {
    /// Whether an HTTP address that a setting names may be asked; if not, why.
    pub(crate) fn allows(self, setting: &str, url: &Url, shown: &str) -> Result<(), String> {
        match url.scheme() {
            "https" => {}
            "http" if self.insecure || is_loopback(url) => {}
            "http" => {
                return Err(format!(
                    "{setting} '{shown}' is plain http, which would show the token to the network; \
                     write https, or set insecure = true if you accept that"
                ));
            }
            other => {
                return Err(format!(
                    "{setting} scheme '{other}' is not known; write https"
                ));
            }
        }
        self.allows_host(setting, url)
    }

    /// Whether the host of an address, where it is a number, may be asked.
    fn allows_host(self, setting: &str, url: &Url) -> Result<(), String> {
        if self.includes_private(url) {
            return Ok(());
        }
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        match address.filter(|address| !is_public(*address)) {
            Some(address) => Err(private(setting, address)),
            None => Ok(()),
        }
    }

    /// Whether requests to an address may go to private networks: where the settings say so, or the
    /// address names this machine.
    pub(crate) fn includes_private(self, url: &Url) -> bool {
        self.private || is_loopback(url)
    }
}

/// An address without what may be secret in it.
pub(super) fn origin(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Why a name or address is not asked.
pub(super) fn private(host: &str, address: IpAddr) -> String {
    format!(
        "{host} is at {address}, an address of a private network; if the site is there, set private = true in \
         its settings"
    )
}

/// Whether an address is one of the open internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            if let Some(inner) = address.to_ipv4_mapped() {
                return is_public_v4(inner);
            }
            let parts = address.segments();
            // Translated addresses of the old kind (64:ff9b::/96, 2002::/16) lead where these lead.
            if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
                return is_public_v4(v4(parts[6], parts[7]));
            }
            if parts[0] == 0x2002 {
                return is_public_v4(v4(parts[1], parts[2]));
            }
            let is_documentation = parts[0] == 0x2001 && parts[1] == 0xdb8;
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || is_documentation)
        }
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_reserved = first == 0 || first >= 240 || [first, second, third] == [192, 0, 0];
    let is_benchmark = first == 198 && (second == 18 || second == 19);
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || is_shared
        || is_reserved
        || is_benchmark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_spelling() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[tokio::test]
    async fn a_name_inside_is_not_resolved() {
        let error = Public
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("set private = true"), "{error}");
    }
}
