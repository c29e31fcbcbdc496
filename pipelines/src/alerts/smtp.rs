//! Mails by SMTP. The talk is lettre's; the connection under it is ours: it goes only where the settings
//! allow, and is encrypted by the TLS that all of the program uses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ingest::{Reach, Secret};
use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::deliver::Failed;

/// Longest answer before the connection is encrypted, in bytes.
const ANSWER: usize = 16 << 10;

/// A mail server, the sender and the receivers.
pub(super) struct Mailer {
    host: String,
    port: u16,
    /// TLS from the first byte; else by STARTTLS.
    is_implicit: bool,
    /// Whether a server that offers no encryption may be used.
    may_be_plain: bool,
    credentials: Option<(String, Secret)>,
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    reach: Reach,
    wait: Duration,
    tls: Arc<ClientConfig>,
}

impl fmt::Display for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to: Vec<_> = self.to.iter().map(ToString::to_string).collect();
        write!(f, "to {} by {}:{}", to.join(", "), self.host, self.port)
    }
}

impl Mailer {
    pub(super) fn new(
        smtp: &str,
        from: &str,
        to: &[String],
        reach: Reach,
        wait: Duration,
    ) -> Result<Self, String> {
        if smtp.is_empty() {
            return Err(
                "smtp is missing; write it like smtps://user:password@mail.example.org:465, or smtp:// for \
                 STARTTLS"
                    .to_string(),
            );
        }
        // The text is not repeated: it holds a password.
        let url = Url::parse(smtp.trim()).map_err(|error| {
            format!("smtp is not an address ({error}); characters like @ and / in the password are written as %40 and %2F")
        })?;
        let is_implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            other => {
                return Err(format!(
                    "smtp scheme '{other}' is not known; write smtp or smtps"
                ));
            }
        };
        let host = url.host_str().unwrap_or_default().to_string();
        if host.is_empty() || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(
                "smtp is not the address of a server; write smtps://user:password@host:465"
                    .to_string(),
            );
        }
        // A server here, or one that may be talked to in plain text, need not offer encryption.
        let may_be_plain = reach.allows_server("smtp", &host, false).is_ok();
        reach
            .allows_server("smtp", &host, true)
            .map_err(|error| error.to_string())?;
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => {
                Some((decoded(user), Secret::new(decoded(password))))
            }
            _ => return Err("smtp needs both user and password, or neither".to_string()),
        };
        let mailbox = |key: &str, text: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                format!(
                    "{key} '{text}' is no mail address ({error}); write it like ops@example.org"
                )
            })
        };
        if from.is_empty() {
            return Err("from is missing; write the address that mails come from".to_string());
        }
        if to.is_empty() {
            return Err("to is missing; write the addresses that mails go to".to_string());
        }
        Ok(Self {
            port: url.port().unwrap_or(if is_implicit { 465 } else { 587 }),
            host,
            is_implicit,
            may_be_plain,
            credentials,
            from: mailbox("from", from)?,
            to: to
                .iter()
                .map(|text| mailbox("to", text))
                .collect::<Result<_, _>>()?,
            reach,
            wait,
            tls: Arc::new(tls()?),
        })
    }

    pub(super) fn password(&self) -> &str {
        let credentials = self.credentials.as_ref();
        credentials.map_or("", |(_, password)| password.reveal())
    }

    /// Sends a mail, once.
    pub(super) async fn send(&self, mail: &Message) -> Result<(), Failed> {
        match tokio::time::timeout(self.wait, self.talk(mail)).await {
            Ok(sent) => sent,
            Err(_) => Err(Failed::later("no answer of the mail server in time")),
        }
    }

    async fn talk(&self, mail: &Message) -> Result<(), Failed> {
        let stream = self.reach.connect(&self.host, self.port).await;
        let stream = stream.map_err(|error| Failed::later(error.to_string()))?;
        let peer = stream
            .peer_addr()
            .map_err(|error| Failed::later(error.to_string()))?;
        let stream: Box<dyn AsyncTokioStream> = match self.is_implicit {
            true => Box::new(Greeted::new(
                Vec::new(),
                self.encrypted(stream).await?,
                peer,
            )),
            false => self.started(stream, peer).await?,
        };
        // The name of this machine is its own business.
        let hello = ClientId::Domain("sprint-reports.invalid".to_string());
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &hello)
            .await
            .map_err(failed)?;
        if let Some((user, password)) = &self.credentials {
            let credentials = Credentials::new(user.clone(), password.reveal().to_string());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await
                .map_err(failed)?;
        }
        connection
            .send(mail.envelope(), &mail.formatted())
            .await
            .map_err(failed)?;
        // It is sent, however the server says good-bye.
        drop(connection.quit().await);
        Ok(())
    }

    async fn encrypted(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failed> {
        let bare = self.host.trim_matches(['[', ']']).to_string();
        let name = ServerName::try_from(bare)
            .map_err(|_| Failed::never("the mail server's name can't be verified"))?;
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| Failed::later(format!("no encrypted connection: {error}")))
    }

    /// Encrypts a connection by STARTTLS.
    async fn started(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Box<dyn AsyncTokioStream>, Failed> {
        let greeting = answer(&mut stream).await?;
        let offered = ask(&mut stream, "EHLO sprint-reports.invalid\r\n").await?;
        let offered = String::from_utf8_lossy(&offered).to_ascii_uppercase();
        let offers = offered
            .lines()
            .any(|line| line.get(4..).is_some_and(|word| word.trim() == "STARTTLS"));
        if !offers && self.may_be_plain {
            return Ok(Box::new(Greeted::new(greeting, stream, peer)));
        }
        if !offers {
            return Err(Failed::never(
                "the mail server offers no encryption (STARTTLS), so nothing was sent; use smtps://, or set \
                 insecure = true if you accept that",
            ));
        }
        ask(&mut stream, "STARTTLS\r\n").await?;
        let stream = self.encrypted(stream).await?;
        // The server doesn't greet again; lettre waits for it.
        let greeting = b"220 encrypted\r\n".to_vec();
        Ok(Box::new(Greeted::new(greeting, stream, peer)))
    }
}

async fn ask(stream: &mut TcpStream, command: &str) -> Result<Vec<u8>, Failed> {
    let sent = stream.write_all(command.as_bytes()).await;
    sent.map_err(|error| Failed::later(error.to_string()))?;
    answer(stream).await
}

/// An answer of one or more lines. Read byte by byte, so that nothing is taken that comes after it.
async fn answer(stream: &mut TcpStream) -> Result<Vec<u8>, Failed> {
    let mut read = Vec::new();
    let mut line = 0;
    loop {
        let byte = stream.read_u8().await;
        read.push(byte.map_err(|error| Failed::later(format!("the mail server: {error}")))?);
        if read.len() > ANSWER {
            return Err(Failed::later("the mail server talks too much"));
        }
        if !read.ends_with(b"\n") {
            continue;
        }
        if read.get(line + 3) != Some(&b'-') {
            break;
        }
        line = read.len();
    }
    match read.get(line) {
        Some(b'2') => Ok(read),
        Some(b'5') => Err(Failed::never(said(&read[line..]))),
        _ => Err(Failed::later(said(&read[line..]))),
    }
}

fn said(line: &[u8]) -> String {
    let text = super::one_line(&String::from_utf8_lossy(line), 200);
    format!("the mail server says '{text}'")
}

fn failed(error: lettre::transport::smtp::Error) -> Failed {
    let text = super::one_line(&format!("the mail server: {error}"), 300);
    match error.is_permanent() {
        true => Failed::never(text),
        false => Failed::later(text),
    }
}

fn tls() -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_platform_verifier());
    match config {
        Ok(config) => Ok(config.with_no_client_auth()),
        Err(error) => Err(format!("TLS can't be used: {error}")),
    }
}

/// What `%40` and the like stand for.
fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// A connection that says something before what comes over it.
struct Greeted<S> {
    first: io::Cursor<Vec<u8>>,
    stream: S,
    peer: SocketAddr,
}

impl<S> Greeted<S> {
    fn new(first: Vec<u8>, stream: S, peer: SocketAddr) -> Self {
        Self {
            first: io::Cursor::new(first),
            stream,
            peer,
        }
    }
}

impl<S> fmt::Debug for Greeted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Greeted({})", self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.first).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Greeted<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests;
