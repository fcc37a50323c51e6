//! HTTPS: certificates and their key from PEM files.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::args::AccessArgs;
use crate::fail::Fail;

/// What accepts connections, if certificates were given.
pub fn acceptor(args: &AccessArgs) -> Result<Option<TlsAcceptor>, Fail> {
    let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let unread = |option: &str, file: &Path, error: &dyn std::fmt::Display| {
        Fail::failed(format!(
            "{option}: {} has nothing that can be used: {error}; give a PEM file",
            file.display()
        ))
    };
    for file in [certificates, key] {
        std::fs::metadata(file).map_err(|error| Fail::from(glass::Error::io("cannot read", file, error)))?;
    }
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unread("--tls-cert", certificates, &error))?;
    if chain.is_empty() {
        return Err(unread("--tls-cert", certificates, &"it has no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread("--tls-key", key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| unread("--tls-cert", certificates, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
