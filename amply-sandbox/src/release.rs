//! Which release of the server a sandbox is.

/// A release of the Amply server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Release {
    /// The release that was recorded: it tells nothing about principals, sends no rankings, gives its errors no code and
    /// has neither `/agent` nor `/health`.
    V3_1_12,
    /// The release that is documented: all of 3.1.12, and what came since.
    #[default]
    V3_1_13,
}

impl Release {
    /// As `/status` has it: `3.1.13`.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Release::V3_1_12 => "3.1.12",
            Release::V3_1_13 => "3.1.13",
        }
    }

    /// Whether this release does what came with 3.1.13.
    pub(crate) fn is_documented(self) -> bool {
        self >= Release::V3_1_13
    }
}
