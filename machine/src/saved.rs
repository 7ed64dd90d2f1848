//! Saved state: what a component leaves behind when a machine is saved.
//!
//! The types that are saved live apart from the running ones (a `mod saved` beside each device), so that a
//! refactoring can't silently change a file. Each has a kind and a version; a field that the reader does
//! not know, or a version from the future, is an error and never ignored.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A type that is written to a saved state.
///
/// Implementors derive `Serialize` and `Deserialize` with `#[serde(deny_unknown_fields)]`, and are changed
/// only together with their `VERSION`. Long byte strings are wrapped in [`Bytes`].
pub trait SavedState: Serialize + DeserializeOwned {
    /// What this is the state of, for example `"rtc"`. Never reused for another form.
    const KIND: &'static str;
    /// The version of the form, from 1.
    const VERSION: u32;
}

/// One component's state, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedUnit {
    /// [`SavedState::KIND`] of the type inside.
    pub kind: String,
    /// [`SavedState::VERSION`] of the type inside.
    pub version: u32,
    /// CBOR (RFC 8949) with field names.
    pub data: Bytes,
}

/// Why a component could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The state could not be encoded.
    #[error("the state of kind {kind} can't be encoded: {reason}")]
    Encode {
        /// The kind of state.
        kind: &'static str,
        /// What the encoder said.
        reason: String,
    },
    /// Something that the state depends on could not be read.
    #[error("{what} can't be read")]
    Unavailable {
        /// What could not be read.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a saved state can't be restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The unit belongs to another component.
    #[error("this is a saved state of {found}, not of {expected}")]
    Kind {
        /// What was wanted.
        expected: &'static str,
        /// What the unit says it is.
        found: String,
    },
    /// The unit was written by a newer program.
    #[error("the saved {kind} has version {found}; this program reads up to {newest}")]
    Version {
        /// The kind of state.
        kind: &'static str,
        /// The unit's version.
        found: u32,
        /// The newest version that can be read.
        newest: u32,
    },
    /// The unit's bytes don't decode.
    #[error("the saved {kind} is damaged: {reason}")]
    Damaged {
        /// The kind of state.
        kind: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The unit decodes, but its values can't be.
    #[error("the saved {kind} holds an impossible value: {what}")]
    Impossible {
        /// The kind of state.
        kind: &'static str,
        /// Which value.
        what: String,
    },
}

impl SavedUnit {
    /// Encodes `state`.
    ///
    /// # Errors
    /// [`SaveError::Encode`] when the type can't be written as CBOR.
    pub fn of<T: SavedState>(state: &T) -> Result<Self, SaveError> {
        let mut data = Vec::new();
        ciborium::into_writer(state, &mut data)
            .map_err(|error| SaveError::Encode { kind: T::KIND, reason: error.to_string() })?;
        Ok(SavedUnit { kind: T::KIND.to_owned(), version: T::VERSION, data: Bytes(data) })
    }

    /// Decodes the unit as the current version of `T`.
    ///
    /// # Errors
    /// Another kind, another version, or bytes that don't decode to the last one.
    pub fn open<T: SavedState>(&self) -> Result<T, RestoreError> {
        if self.kind != T::KIND {
            return Err(RestoreError::Kind { expected: T::KIND, found: self.kind.clone() });
        }
        if self.version != T::VERSION {
            return Err(RestoreError::Version { kind: T::KIND, found: self.version, newest: T::VERSION });
        }
        let mut rest = self.data.0.as_slice();
        let state = ciborium::from_reader(&mut rest)
            .map_err(|error| RestoreError::Damaged { kind: T::KIND, reason: error.to_string() })?;
        if !rest.is_empty() {
            return Err(RestoreError::Damaged { kind: T::KIND, reason: format!("{} bytes too many", rest.len()) });
        }
        Ok(state)
    }
}

/// A byte string, encoded as one (serde would make a list of numbers of a `Vec<u8>`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a byte string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lamp {
        on: bool,
        glass: Bytes,
    }
    impl SavedState for Lamp {
        const KIND: &'static str = "lamp";
        const VERSION: u32 = 2;
    }

    fn lamp() -> SavedUnit {
        SavedUnit::of(&Lamp { on: true, glass: Bytes(vec![7; 300]) }).unwrap()
    }

    #[test]
    fn a_unit_gives_back_what_was_saved() {
        assert_eq!(lamp().open::<Lamp>().unwrap(), Lamp { on: true, glass: Bytes(vec![7; 300]) });
    }

    #[test]
    fn another_version_is_refused() {
        let unit = SavedUnit { version: 3, ..lamp() };
        assert!(matches!(unit.open::<Lamp>(), Err(RestoreError::Version { found: 3, newest: 2, .. })));
    }

    #[test]
    fn another_kind_is_refused() {
        let unit = SavedUnit { kind: "door".into(), ..lamp() };
        assert!(matches!(unit.open::<Lamp>(), Err(RestoreError::Kind { .. })));
    }

    #[test]
    fn bytes_too_many_or_too_few_are_refused() {
        let mut long = lamp();
        long.data.0.push(0);
        assert!(matches!(long.open::<Lamp>(), Err(RestoreError::Damaged { .. })));
        let mut short = lamp();
        short.data.0.pop();
        assert!(matches!(short.open::<Lamp>(), Err(RestoreError::Damaged { .. })));
    }

    #[test]
    fn a_field_that_nobody_reads_is_refused() {
        #[derive(Serialize, Deserialize)]
        struct Newer {
            on: bool,
            glass: Bytes,
            colour: u8,
        }
        impl SavedState for Newer {
            const KIND: &'static str = "lamp";
            const VERSION: u32 = 2;
        }
        let unit = SavedUnit::of(&Newer { on: true, glass: Bytes::default(), colour: 1 }).unwrap();
        assert!(matches!(unit.open::<Lamp>(), Err(RestoreError::Damaged { .. })));
    }
}
