//! Secrets: read as strings, written as three stars.

use secrecy::SecretString;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "***";

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

pub(crate) fn serialize<S: Serializer>(_: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(HIDDEN)
}

/// A secret that may be absent.
pub(crate) mod optional {
    use super::{Deserializer, HIDDEN, SecretString, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SecretString>, D::Error> {
        super::deserialize(from).map(Some)
    }

    #[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
    pub(crate) fn serialize<S: Serializer>(
        secret: &Option<SecretString>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(_) => to.serialize_some(HIDDEN),
            None => to.serialize_none(),
        }
    }
}

/// Secrets by name.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, HIDDEN, SecretString, SerializeMap, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, SecretString>, D::Error> {
        let plain = BTreeMap::<String, String>::deserialize(from)?;
        Ok(plain
            .into_iter()
            .map(|(name, secret)| (name, SecretString::from(secret)))
            .collect())
    }

    pub(crate) fn serialize<S: Serializer>(
        secrets: &BTreeMap<String, SecretString>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(secrets.len()))?;
        for name in secrets.keys() {
            map.serialize_entry(name, HIDDEN)?;
        }
        map.end()
    }
}

/// An address that may hold a password: `scheme://user:password@host`.
pub(crate) mod address {
    use super::{Deserializer, HIDDEN, SecretString, Serializer};
    use secrecy::ExposeSecret as _;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SecretString, D::Error> {
        super::deserialize(from)
    }

    pub(crate) fn serialize<S: Serializer>(
        address: &SecretString,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&without_password(address.expose_secret()))
    }

    /// An address that may be absent.
    pub(crate) mod optional {
        use super::{SecretString, Serializer};

        pub(crate) use super::super::optional::deserialize;

        #[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
        pub(crate) fn serialize<S: Serializer>(
            address: &Option<SecretString>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match address {
                Some(address) => super::serialize(address, to),
                None => to.serialize_none(),
            }
        }
    }

    /// The address with stars for everything up to the host but the user's name.
    fn without_password(address: &str) -> String {
        let Some((scheme, rest)) = address.split_once("://") else {
            return address.to_owned();
        };
        let (before, query) = match rest.split_once('?') {
            // A query may carry a password too.
            Some((before, _)) => (before, format!("?{HIDDEN}")),
            None => (rest, String::new()),
        };
        match before.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:{HIDDEN}@{host}{query}")
            }
            None => format!("{scheme}://{before}{query}"),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn no_password_is_shown() {
            let cases = [
                ("sqlite:data/tertulia.db", "sqlite:data/tertulia.db"),
                ("postgres://host/db", "postgres://host/db"),
                (
                    "postgres://ann:s3cret@host/db",
                    "postgres://ann:***@host/db",
                ),
                ("redis://:p@ss@host/0", "redis://:***@host/0"),
                (
                    "postgres://host/db?password=s3cret",
                    "postgres://host/db?***",
                ),
            ];
            for (address, shown) in cases {
                assert_eq!(without_password(address), shown);
            }
        }
    }
}
