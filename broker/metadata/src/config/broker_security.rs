//! The table of broker keys about TLS, SASL and authorisation.

use super::spec::{Check, ConfigKind, ConfigSpec, Update, key};
use Check::{Any, OneOf};
use ConfigKind::{Boolean, Class, List, Password, String};
use Update::{PerBroker, ReadOnly};

#[rustfmt::skip]
pub(super) const TABLE: &[ConfigSpec] = &[
    key("ssl.keystore.type", String, Some("JKS"), OneOf(&["JKS", "PKCS12", "PEM"]), PerBroker, "Format of the key store."),
    key("ssl.keystore.location", String, None, Any, PerBroker, "File with the key store."),
    key("ssl.keystore.password", Password, None, Any, PerBroker, "Password of the key store."),
    key("ssl.keystore.key", Password, None, Any, PerBroker, "Private key as PEM text."),
    key("ssl.keystore.certificate.chain", Password, None, Any, PerBroker, "Certificate chain as PEM text."),
    key("ssl.key.password", Password, None, Any, PerBroker, "Password of the private key."),
    key("ssl.truststore.type", String, Some("JKS"), OneOf(&["JKS", "PKCS12", "PEM"]), PerBroker, "Format of the trust store."),
    key("ssl.truststore.location", String, None, Any, PerBroker, "File with the trust store."),
    key("ssl.truststore.password", Password, None, Any, PerBroker, "Password of the trust store."),
    key("ssl.truststore.certificates", Password, None, Any, PerBroker, "Trusted certificates as PEM text."),
    key("ssl.client.auth", String, Some("none"), OneOf(&["none", "requested", "required"]), PerBroker, "Whether clients must show a certificate."),
    key("ssl.protocol", String, Some("TLSv1.3"), Any, PerBroker, "Preferred TLS version."),
    key("ssl.enabled.protocols", List, Some("TLSv1.2,TLSv1.3"), Any, PerBroker, "TLS versions that are offered."),
    key("ssl.cipher.suites", List, Some(""), Any, PerBroker, "Cipher suites that are offered; all safe ones when empty."),
    key("ssl.endpoint.identification.algorithm", String, Some("https"), Any, PerBroker, "How host names are checked against certificates; empty turns it off."),
    key("ssl.principal.mapping.rules", String, Some("DEFAULT"), Any, ReadOnly, "Rules that turn a certificate's name into a principal."),
    key("sasl.enabled.mechanisms", List, Some("GSSAPI"), Any, PerBroker, "SASL mechanisms that are offered."),
    key("sasl.mechanism.inter.broker.protocol", String, Some("GSSAPI"), Any, PerBroker, "SASL mechanism between brokers."),
    key("sasl.mechanism.controller.protocol", String, Some("GSSAPI"), Any, ReadOnly, "SASL mechanism towards controllers."),
    key("sasl.jaas.config", Password, None, Any, PerBroker, "Login module line with users and passwords."),
    key("sasl.server.max.receive.size", ConfigKind::Int, Some("524288"), Check::AtLeast(1), ReadOnly, "Largest SASL message before authentication, in bytes."),
    key("authorizer.class.name", String, Some(""), Any, ReadOnly, "The authoriser; empty allows everything."),
    key("super.users", String, Some(""), Any, ReadOnly, "Principals that may do everything, separated by semicolons."),
    key("allow.everyone.if.no.acl.found", Boolean, Some("false"), Any, ReadOnly, "Whether a resource without rules is open to all."),
    key("principal.builder.class", Class, None, Any, PerBroker, "Taken for compatibility; Java classes are not loaded."),
    key("password.encoder.secret", Password, None, Any, ReadOnly, "Taken for compatibility; old name of a secret for stored passwords."),
    key("delegation.token.max.lifetime.ms", ConfigKind::Long, Some("604800000"), Check::AtLeast(1), ReadOnly, "Longest life of a delegation token, in milliseconds."),
    key("delegation.token.expiry.time.ms", ConfigKind::Long, Some("86400000"), Check::AtLeast(1), ReadOnly, "Life of a delegation token between renewals, in milliseconds."),
    key("delegation.token.secret.key", Password, None, Any, ReadOnly, "Secret that signs delegation tokens."),
];
