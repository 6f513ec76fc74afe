//! Macros that declare the sections of the configuration, and values that are one of a fixed set of words.

/// Declares a section: a struct of public members that refuses unknown keys. `where` gives the check of a member.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $key:ident: $kind:ty $(where $check:expr)?,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "each key is documented in config/default.toml")]
        pub struct $name { $($(#[$meta])* pub $key: $kind,)* }

        impl Setting for $name {
            fn keys(at: &str, into: &mut BTreeSet<String>) {
                $(<$kind as Setting>::keys(&join(at, stringify!($key)), into);)*
            }

            fn fractions(at: &str, into: &mut BTreeSet<String>) {
                $(<$kind as Setting>::fractions(&join(at, stringify!($key)), into);)*
            }

            fn check(&self, at: &str) -> Result<(), Wrong> {
                $({
                    let key = join(at, stringify!($key));
                    self.$key.check(&key)?;
                    $($check(&self.$key).map_err(|remedy| {
                        Wrong::new(&key, format!("{key} = {}: {remedy}", self.$key.shown()))
                    })?;)?
                })*
                Ok(())
            }

            fn shown(&self) -> String {
                "a section".to_owned()
            }
        }
    };
}

pub(super) fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Declares a value that is one of a fixed set of words. The error for any other word lists them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum $name { $($(#[$meta])* #[serde(rename = $word)] $variant,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                match text.as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(serde::de::Error::custom(format!("\"{text}\" is none of {}", [$($word),*].join(", ")))),
                }
            }
        }

        impl Setting for $name {
            fn shown(&self) -> String {
                match self { $(Self::$variant => concat!("\"", $word, "\"").to_owned(),)* }
            }
        }
    };
}

pub(super) use {section, words};
