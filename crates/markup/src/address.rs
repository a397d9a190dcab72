//! Which addresses may become links.
//!
//! A chat platform refuses the whole message when it dislikes one address (Telegram:
//! `Entity URL 'http://localhost' is invalid`), so [`public`] is narrower than what platforms take.
//! What it turns away stays readable beside its label.

use std::fmt::Write as _;

/// Longer ones are not addresses that a person follows.
const LONGEST: usize = 2048;

/// Gives the address as a chat platform takes it: `http` or `https` to a host with a dot.
pub(crate) fn public(url: &str) -> Option<String> {
    let rest = after_scheme(url, "https://").or_else(|| after_scheme(url, "http://"))?;
    let (authority, _) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || c.is_alphabetic();
    let named = host.contains('.')
        && host
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(known));
    let reachable = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    (named && reachable && url.len() <= LONGEST).then(|| encoded(url))
}

/// Gives the address as a web page may link it: also `mailto:`, and hosts of one's own network.
pub(crate) fn linkable(url: &str) -> Option<String> {
    let scheme = ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| after_scheme(url, scheme).is_some_and(|rest| !rest.is_empty()));
    (scheme && url.len() <= LONGEST).then(|| encoded(url))
}

fn after_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    url.get(..scheme.len())
        .filter(|start| start.eq_ignore_ascii_case(scheme))
        .map(|_| &url[scheme.len()..])
}

/// Writes spaces, controls and invisible characters as `%XX`: no reader strips them differently.
fn encoded(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        if crate::is_blank(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(out, "%{byte:02X}").expect("a String takes everything");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_a_scheme_and_a_host_with_a_dot() {
        for url in [
            "https://example.com",
            "HTTP://Example.com:8080/a?b=(c)#d",
            "https://bücher.example/ä",
            "http://127.0.0.1/",
            "https://a_b.example",
        ] {
            assert_eq!(public(url).as_deref(), Some(url));
        }
        for url in [
            "",
            "example.com",
            "http://",
            "http://localhost",
            "http://localhost:80/x",
            "http://a..b",
            "http://.",
            "http://a b.c",
            "http://me@a.b",
            "http://a.b:0",
            "http://a.b:",
            "http://a.b:+1",
            "http://a.b:65536",
            "http://[::1]/",
            "javascript:alert(1)",
            "java\nscript://a.b",
            " https://a.b",
            "ftp://a.b",
            "tg://user?id=1",
            "mailto:a@b.c",
        ] {
            assert_eq!(public(url), None, "{url}");
        }
        assert_eq!(
            public("https://a.b/c d\u{202e}").as_deref(),
            Some("https://a.b/c%20d%E2%80%AE")
        );
    }

    #[test]
    fn a_page_links_three_schemes() {
        for url in ["http://localhost:3000", "mailto:a@b.c", "HTTPS://x"] {
            assert_eq!(linkable(url).as_deref(), Some(url));
        }
        for url in [
            "javascript:x",
            "data:text/html,x",
            "//x",
            "/x",
            "mailto:",
            "vbscript:x",
            "\u{1}http://x",
        ] {
            assert_eq!(linkable(url), None, "{url}");
        }
    }
}
