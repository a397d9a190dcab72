//! Who may operate the house.
//!
//! With a token: whoever shows it. Without one: whoever connects from the machine itself, and not
//! on behalf of somebody else. Three kinds of somebody else reach a loopback port: a proxy (it adds
//! forwarding headers), a web page whose name was made to resolve here (its Host is not ours), and
//! a web page that orders the browser about (the browser says so).
//!
//! Invariant: when in doubt, no.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::AdminState;
use crate::problem::Problem;

/// Headers by which proxies name whom they speak for.
const FORWARDED: [&str; 5] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "via",
];

/// Lets operators through.
pub(crate) async fn operators_only(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(peer)| peer.ip());
    match judge(state.token.as_ref(), peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn judge(
    token: Option<&SecretString>,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if is_cross_site(headers) {
        return Err(Problem::cross_site());
    }
    match token {
        Some(token) if shows(headers, token.expose_secret()) => Ok(()),
        Some(_) => Err(Problem::no_token()),
        None if is_at_the_machine(peer, headers) => Ok(()),
        None => Err(Problem::from_afar()),
    }
}

/// Whether the request shows the token; takes as long for a near miss as for a far one.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim());
    // An empty token in the config opens nothing.
    !token.is_empty() && shown.is_some_and(|shown| shown.as_bytes().ct_eq(token.as_bytes()).into())
}

fn is_at_the_machine(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let near = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    let direct = FORWARDED.iter().all(|name| !headers.contains_key(*name));
    let by_name = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .is_some_and(is_loopback_name);
    near && direct && by_name
}

/// Whether a Host header names the machine itself, with or without a port.
fn is_loopback_name(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest
            .split_once(']')
            .and_then(|(address, _)| address.parse::<IpAddr>().ok())
            .is_some_and(|address| address.is_loopback());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether a browser says that another site's page asks.
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const HERE: &str = "127.0.0.1";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn without_a_token_only_the_machine_itself_is_let_in() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(Option<&str>, Pairs, bool); 15] = [
            (Some(HERE), &[("host", "127.0.0.1:8080")], true),
            (Some("::1"), &[("host", "[::1]:8080")], true),
            (Some("::ffff:127.0.0.1"), &[("host", "localhost")], true),
            (Some(HERE), &[("host", "LOCALHOST:1")], true),
            (Some(HERE), &[("host", "evil.example")], false),
            (Some(HERE), &[("host", "localhost.evil.example")], false),
            (Some(HERE), &[("host", "[::2]")], false),
            (Some(HERE), &[("host", "[")], false),
            (Some(HERE), &[], false),
            (Some("192.0.2.1"), &[("host", "127.0.0.1")], false),
            (None, &[("host", "127.0.0.1")], false),
            (
                Some(HERE),
                &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")],
                false,
            ),
            (
                Some(HERE),
                &[("host", "localhost"), ("forwarded", "for=a")],
                false,
            ),
            (
                Some(HERE),
                &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                Some(HERE),
                &[("host", "localhost"), ("sec-fetch-site", "same-origin")],
                true,
            ),
        ];
        for (peer, pairs, fine) in cases {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let judged = judge(None, peer, &headers(pairs));
            assert_eq!(judged.is_ok(), fine, "{peer:?} {pairs:?}");
        }
    }

    #[test]
    fn with_a_token_only_the_token_counts() {
        let token = SecretString::from("open sesame");
        let afar = Some("192.0.2.1".parse().unwrap());
        for (shown, fine) in [
            ("Bearer open sesame", true),
            ("bearer  open sesame", true),
            ("Bearer open sesam", false),
            ("Bearer open sesamee", false),
            ("Basic open sesame", false),
            ("open", false),
            ("", false),
        ] {
            let judged = judge(Some(&token), afar, &headers(&[("authorization", shown)]));
            assert_eq!(judged.is_ok(), fine, "{shown:?}");
        }
        let here = Some(HERE.parse().unwrap());
        assert!(judge(Some(&token), here, &headers(&[("host", "localhost")])).is_err());
        let empty = SecretString::from("");
        assert!(
            judge(
                Some(&empty),
                here,
                &headers(&[("authorization", "Bearer ")])
            )
            .is_err()
        );
    }
}
