//! What can be wrong with a catalog, in words for the person who wrote the file.

/// Why a text is not a catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The text is not one JSON document. Line and column count from 1.
    #[error("the catalog is not JSON: {reason} at line {line}, column {column}")]
    NotJson {
        /// Line of the first fault.
        line: usize,
        /// Column of the first fault.
        column: usize,
        /// What the parser stumbled over.
        reason: String,
    },

    /// A field beside the list of providers is missing or wrong.
    #[error("the catalog's `{field}` must be {expected}, not {found}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },

    /// The document is JSON, but not an object.
    #[error("the catalog must be an object with a list `providers`, not {found}")]
    NotAnObject {
        /// What it is, shortened.
        found: String,
    },

    /// There is no list `providers`, or it is empty.
    #[error("the catalog has no providers; give it at least one in the list `providers`")]
    NoProviders,

    /// A provider lacks a field that a score is made of.
    #[error("{provider} lacks `{field}`, which must be {expected}")]
    Missing {
        /// Which provider, counted from 1, with its id when it has one.
        provider: String,
        /// Name of the field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },

    /// A field of a provider has the wrong kind, is out of its range or is not finite.
    #[error("{provider}: `{field}` must be {expected}, not {found}")]
    Invalid {
        /// Which provider, counted from 1, with its id when it has one.
        provider: String,
        /// Name of the field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },

    /// Something in the list is not a provider.
    #[error("{provider} must be an object, not {found}")]
    NotAProvider {
        /// Which provider, counted from 1.
        provider: String,
        /// What it is, shortened.
        found: String,
    },

    /// Two providers share an id. Positions count from 1.
    #[error("providers {first} and {second} have the same id `{id}`; ids must be unique")]
    DuplicateId {
        /// The id of both.
        id: String,
        /// Position of the first.
        first: usize,
        /// Position of the second.
        second: usize,
    },
}
