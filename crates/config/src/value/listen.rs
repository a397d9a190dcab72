//! The address to listen on, with `localhost` for those who write it.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::Deserializer;

struct Written(SocketAddr);

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local = text
            .strip_prefix("localhost:")
            .and_then(|port| port.parse().ok());
        match local {
            Some(port) => Ok(Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            None => text.parse().map(Self).map_err(|_| {
                format!(r#"{text:?} is not an address such as "127.0.0.1:8080" or "[::]:8080""#)
            }),
        }
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    super::text::parse::<Written, _>(from).map(|written| written.0)
}
