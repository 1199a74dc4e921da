//! Whom an https server must prove to be.
//!
//! One configuration of our own, with a provider that needs no process-wide installation: a program that links
//! this crate keeps its own choice.

use std::error::Error as StdError;
use std::io;
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
    if certificates.is_empty() {
        return Err(Error::config(format!(
            "{origin} holds no certificate; it must have a block that begins with -----BEGIN CERTIFICATE-----"
        )));
    }
    // What the system's store would refuse without saying where it came from.
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| {
            Error::config(format!("{origin} holds a certificate that cannot be used: {error}"))
        })?;
    }
    Ok(certificates)
}

/// Why a certificate was refused, if that is what an error is about.
pub(crate) fn refused_certificate<'a>(
    causes: impl Iterator<Item = &'a (dyn StdError + 'static)>,
) -> Option<String> {
    // The error is wrapped by others of I/O, which show it and do not name it as their source.
    let refused = |cause: &'a (dyn StdError + 'static)| {
        let mut wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
        while let Some(inner) = wrapped.downcast_ref::<io::Error>() {
            wrapped = inner.get_ref()?;
        }
        match wrapped.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(why) => Some(why.to_string()),
            _ => None,
        }
    };
    causes.filter_map(refused).last()
}
