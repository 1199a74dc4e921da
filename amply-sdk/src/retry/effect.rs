//! Can the server have seen it, and may it be asked twice?

/// What a failed attempt can have done on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it was never sent, or refused before any work was done.
    None,
    /// Perhaps what was asked: it was sent, and no answer says what became of it.
    Unknown,
    /// The server answered, and the answer would be the same again.
    Done,
}

/// Whether a kind of call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Asking twice is the same as asking once.
    Always,
    /// It costs money; after an unknown effect only by the caller's own decision.
    OptIn,
    /// Never after an unknown effect.
    NeverWhenUnknown,
}

/// What an unknown effect may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stake {
    /// Nothing that matters.
    Nothing,
    /// A charge.
    Money,
    /// Something new on the server; and what to do about it, in words.
    New(&'static str),
}
