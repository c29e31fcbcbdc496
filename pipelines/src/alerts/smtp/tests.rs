//! The encrypted ways to a mail server, with a server that holds a certificate for `localhost`.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

/// For this test only; nothing else trusts it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBkjCCATigAwIBAgIUFsg25bZRX4K/r3+c8syshSb0C0swCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTE3MDI0OFoYDzIxMjYxMTAx\n\
MTcwMjQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAATG2y1Y8QNMW9gfLeFIN9ZeVxnMnA2F3qRJdmSyoclXxegx3RK+7t9P\n\
oaSpm30xnKkmVYVRsXakUB37F4TVCsu0o2YwZDAdBgNVHQ4EFgQUPxdCC1vCIohh\n\
6PMF+Ken8LTOmggwHwYDVR0jBBgwFoAUPxdCC1vCIohh6PMF+Ken8LTOmggwFAYD\n\
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAw\n\
RQIgC/ti/PJ1+q/+WrxXKcHodwArU6epaVa7EpPwG+9Via0CIQCE+syJxPjvNqDk\n\
rVeNJQyXfzDZElyMNQFgWx1tbngTkQ==\n\
-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrPWUOnGy3APHavTJ\n\
epGvnvayIFeTzWLIzBZKq3PohHmhRANCAATG2y1Y8QNMW9gfLeFIN9ZeVxnMnA2F\n\
3qRJdmSyoclXxegx3RK+7t9PoaSpm30xnKkmVYVRsXakUB37F4TVCsu0\n\
-----END PRIVATE KEY-----\n";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Implicit,
    StartTls,
    /// Offers no encryption.
    Plain,
    /// Says something more before the encryption begins.
    Injecting,
}

/// Serves one connection, and gives back the lines that came; those after the encryption with a mark.
async fn serve(kind: Kind) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = Vec::new();
        let stream = match kind {
            Kind::Implicit => stream,
            _ => {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 hi\r\n").await.unwrap();
                let offer: &[u8] = match kind {
                    Kind::Plain => b"250-hi\r\n250 AUTH PLAIN\r\n",
                    _ => b"250-hi\r\n250 STARTTLS\r\n",
                };
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return lines;
                    }
                    let is_start = line.starts_with("STARTTLS");
                    lines.push(line.trim_end().to_string());
                    if is_start {
                        break;
                    }
                    stream.write_all(offer).await.unwrap();
                }
                let go = match kind {
                    Kind::Injecting => &b"220 go\r\n250 AUTH PLAIN\r\n"[..],
                    _ => b"220 go\r\n",
                };
                stream.write_all(go).await.unwrap();
                stream.into_inner()
            }
        };
        let Ok(stream) = acceptor.accept(stream).await else {
            return lines;
        };
        let mut stream = BufReader::new(stream);
        if kind == Kind::Implicit {
            stream.write_all(b"220 hi\r\n").await.unwrap();
        }
        let mut is_data = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return lines;
            }
            if is_data && line != ".\r\n" {
                continue;
            }
            let word = line.split([' ', ':']).next().unwrap().trim().to_string();
            lines.push(format!("+{word}"));
            is_data = word == "DATA";
            let reply: &[u8] = match word.as_str() {
                "EHLO" => b"250-hi\r\n250 AUTH PLAIN\r\n",
                "AUTH" => b"235 ok\r\n",
                "DATA" => b"354 go\r\n",
                _ => b"250 ok\r\n",
            };
            stream.write_all(reply).await.unwrap();
        }
    });
    (port, task)
}

fn mailer(scheme: &str, host: &str, port: u16) -> Mailer {
    let url = format!("{scheme}://bot:hunter2@{host}:{port}");
    let to = ["ops@example.org".to_string()];
    let wait = Duration::from_secs(5);
    let mut mailer = Mailer::new(&url, "r@example.org", &to, Reach::default(), wait).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    mailer.tls = Arc::new(config);
    mailer
}

fn mail(mailer: &Mailer) -> Message {
    Message::builder()
        .from(mailer.from.clone())
        .to(mailer.to[0].clone())
        .body("hello".to_string())
        .unwrap()
}

#[tokio::test]
async fn a_mail_goes_over_tls_from_the_start_or_by_starttls() {
    let told = ["+EHLO", "+AUTH", "+MAIL", "+RCPT", "+DATA", "+.", "+QUIT"];
    for (scheme, kind, before) in [
        ("smtps", Kind::Implicit, &[][..]),
        (
            "smtp",
            Kind::StartTls,
            &["EHLO sprint-reports.invalid", "STARTTLS"],
        ),
    ] {
        let (port, server) = serve(kind).await;
        let mailer = mailer(scheme, "localhost", port);
        mailer.send(&mail(&mailer)).await.unwrap();
        let expected: Vec<_> = before.iter().chain(&told).copied().collect();
        assert_eq!(server.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn nothing_is_told_to_one_who_can_not_prove_who_it_is() {
    // Its certificate is for `localhost`.
    for (scheme, kind) in [("smtps", Kind::Implicit), ("smtp", Kind::StartTls)] {
        let (port, server) = serve(kind).await;
        let mailer = mailer(scheme, "127.0.0.1", port);
        let failed = mailer.send(&mail(&mailer)).await.unwrap_err();
        assert!(
            format!("{failed:?}").contains("no encrypted connection"),
            "{failed:?}"
        );
        assert!(
            !server
                .await
                .unwrap()
                .iter()
                .any(|line| line.contains("AUTH"))
        );
    }
    // Nor to one whose certificate nobody vouches for.
    let (port, server) = serve(Kind::Implicit).await;
    let mut mailer = mailer("smtps", "localhost", port);
    mailer.tls = Arc::new(tls().unwrap());
    mailer.send(&mail(&mailer)).await.unwrap_err();
    assert!(server.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_must_encrypt_and_does_not_gets_nothing() {
    let (port, server) = serve(Kind::Plain).await;
    let mut mailer = mailer("smtp", "localhost", port);
    // As for every server that is not this machine.
    mailer.may_be_plain = false;
    let failed = mailer.send(&mail(&mailer)).await.unwrap_err();
    assert!(format!("{failed:?}").contains("STARTTLS"), "{failed:?}");
    assert_eq!(server.await.unwrap(), ["EHLO sprint-reports.invalid"]);
    // What is said before the encryption is not taken for what is said under it.
    let (port, server) = serve(Kind::Injecting).await;
    let mailer = self::mailer("smtp", "localhost", port);
    mailer.send(&mail(&mailer)).await.unwrap_err();
    let lines = server.await.unwrap();
    assert!(!lines.iter().any(|line| line.starts_with('+')), "{lines:?}");
}
