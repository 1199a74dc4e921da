//! Who signs for `--x402-network`: the key in the environment, or the sandbox's own. No key is ever an argument.

use amply_sandbox::Sandbox;
use amply_sdk::{Error, LocalSigner, Network, env};

use super::secret;
use crate::exit::Failed;

/// A key that signs payments, and the networks that it may sign for, the preferred one first.
pub(crate) struct X402 {
    pub(super) signer: LocalSigner,
    pub(super) networks: Vec<Network>,
    /// Whose key it is, in words.
    pub(super) key_from: &'static str,
}

impl X402 {
    pub(super) fn of_environment(networks: Vec<Network>) -> Result<Self, Failed> {
        let name = env::X402_KEY;
        let mut key = secret(name)?.ok_or_else(|| {
            Failed::Usage(format!("`--x402-network` finds no private key that signs; set {name} to one"))
        })?;
        // The signer clears its memory, too. Its error has nothing of the key.
        let signer = LocalSigner::from_hex(std::mem::take(&mut *key))
            .map_err(|error| Failed::Usage(format!("{name}: {}", error.message())))?;
        Ok(Self { signer, networks, key_from: "the key from `AMPLY_X402_KEY`" })
    }

    pub(super) fn of_sandbox(sandbox: &Sandbox, networks: Vec<Network>) -> Result<Self, Error> {
        let signer = LocalSigner::from_hex(sandbox.x402_key())?;
        Ok(Self { signer, networks, key_from: "the sandbox's own key" })
    }
}
