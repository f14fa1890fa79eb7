//! What a URL may look like, before anything is resolved.

use reqwest::Url;

use super::networks::{self, Network};

const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// The parsed URL, or the rule that it breaks.
pub(super) fn check(text: &str, allow: &[Network]) -> Result<Url, String> {
    let (url, opened) = address(text, allow)?;
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    if !PORTS.contains(&port) && !opened {
        return Err(format!("port {port} is not fetched; use 80, 443, 8080 or 8443"));
    }
    Ok(url)
}

/// As [`check`], on any port; with whether its host is an address in a network that the operator opened.
pub(super) fn address(text: &str, allow: &[Network]) -> Result<(Url, bool), String> {
    let url = Url::parse(text).map_err(|error| format!("not an absolute URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme `{}` is not fetched; use http or https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with user info is not fetched".to_owned());
    }
    let host = url.host_str().ok_or("the URL has no host")?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if let Some(ip) = literal
        && let Some(what) = networks::refused(ip, allow)
    {
        return Err(format!("`{host}` is {what}"));
    }
    let opened = literal.is_some_and(|ip| allow.iter().any(|network| network.contains(ip)));
    Ok((url, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched() {
        let allow = ["127.0.0.0/8".parse().unwrap()];
        for (url, plain, opened) in [
            ("https://example.com/a.jpg", true, true),
            ("http://example.com:8080/", true, true),
            ("http://example.com:22/", false, false),
            ("ftp://example.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("data:image/png;base64,AAAA", false, false),
            ("/relative.jpg", false, false),
            ("http://user@example.com/", false, false),
            ("http://:secret@example.com/", false, false),
            ("http://93.184.216.34/", true, true),
            ("http://127.0.0.1/", false, true),
            ("http://127.0.0.1:3999/", false, true),
            // Every spelling of an address is the address.
            ("http://2130706433/", false, true),
            ("http://0x7f.1/", false, true),
            ("http://0177.0.0.1/", false, true),
            ("http://169.254.169.254/latest/meta-data", false, false),
            ("http://[::1]/", false, false),
            ("http://[::ffff:127.0.0.1]/", false, true),
            ("http://10.0.0.1/", false, false),
            ("http:///", false, false),
        ] {
            assert_eq!(check(url, &[]).is_ok(), plain, "{url}");
            assert_eq!(check(url, &allow).is_ok(), opened, "{url} with 127.0.0.0/8 allowed: {:?}", check(url, &allow));
        }
    }
}
