use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use crate::{Auth, Connection, Result};

/// The Authorization header of a connection.
pub(super) fn authorization(connection: &Connection) -> Result<HeaderValue> {
    let token = connection.token.reveal().trim();
    if token.is_empty() {
        return Err(connection.refuse("token is empty; write env:NAME or file:PATH"));
    }
    let text = match connection.auth {
        Auth::Basic if connection.email.trim().is_empty() => {
            return Err(connection.refuse(
                "auth = \"basic\" needs the email of the token's account; or use auth = \"bearer\"",
            ));
        }
        Auth::Basic => {
            let pair = format!("{}:{token}", connection.email.trim());
            format!("Basic {}", STANDARD.encode(pair))
        }
        Auth::Bearer => format!("Bearer {token}"),
    };
    let mut header = HeaderValue::from_str(&text)
        .map_err(|_| connection.refuse("token holds characters that no HTTP header can carry"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::connection::tests::connection;

    #[test]
    fn basic_and_bearer() {
        let mut one = connection("https://x");
        let basic = authorization(&one).unwrap();
        assert_eq!(basic, "Basic Ym90QGV4YW1wbGUub3JnOmh1bnRlcjI=");
        assert!(basic.is_sensitive());
        one.auth = Auth::Bearer;
        assert_eq!(authorization(&one).unwrap(), "Bearer hunter2");
    }

    #[test]
    fn what_is_missing_is_named_and_the_token_is_not() {
        let mut one = connection("https://x");
        one.email.clear();
        assert!(
            authorization(&one)
                .unwrap_err()
                .to_string()
                .contains("needs the email")
        );
        one.auth = Auth::Bearer;
        one.token = Secret::new("hun\nter2");
        let error = authorization(&one).unwrap_err().to_string();
        assert!(
            error.contains("characters") && !error.contains("ter2"),
            "{error}"
        );
        one.token = Secret::new(" ");
        assert!(
            authorization(&one)
                .unwrap_err()
                .to_string()
                .contains("token is empty")
        );
    }
}
