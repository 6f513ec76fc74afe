//! The cryptography of TLS, for the listener and for every client.

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Makes aws-lc-rs the cryptography of this process. May be called again.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster; there is only one provider in this program.
        drop(aws_lc_rs::default_provider().install_default());
    }
}
