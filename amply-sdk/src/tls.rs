//! Whom an https server must prove to be.
//!
//! One configuration of our own, with a provider that needs no process-wide installation: a program that links
//! this crate keeps its own choice.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::Error;

/// TLS 1.2 or newer, trusting the system's certificates and `extra`.
pub(crate) fn system_trust(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(|error| {
        Error::config(format!("the system's trusted certificates cannot be used: {error}"))
    })?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// For a client of this machine alone: no certificate is trusted, and the system's are not read.
pub(crate) fn no_trust() -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Reads every certificate of a PEM text.
pub(crate) fn certificates(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::config(format!("{origin} is not a readable PEM file: {error}")))?;
    match certificates.is_empty() {
        true => Err(Error::config(format!(
            "{origin} holds no certificate; it must have a block that begins with -----BEGIN CERTIFICATE-----"
        ))),
        false => Ok(certificates),
    }
}
