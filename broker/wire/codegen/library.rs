//! Writes the library's modules: structs, defaults, decoders, encoders and trait implementations.

use std::fmt::Write;

use super::model::{Field, Kind, Message, Versions};
use super::names::snake;
use super::{decode, encode, size, types};

/// One public module per message.
pub fn modules(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        writeln!(out, "/// {}.", describe(message)).ok();
        writeln!(out, "pub mod {} {{", snake(&message.name)).ok();
        writeln!(out, "    use super::imports::*;\n").ok();
        for (name, fields, within) in message.all_structs() {
            out.push_str(&structure(message, name, fields, within));
        }
        out.push_str(&message_impl(message));
        if message.kind == Kind::Request {
            out.push_str(&request_impl(message, messages));
        }
        out.push_str("}\n\n");
    }
    out
}

fn describe(message: &Message) -> String {
    let Versions { min, max } = message.versions;
    let number = message.number.map_or(String::new(), |n| match message.kind {
        Kind::Request | Kind::Response => format!(" (API key {n})"),
        _ => format!(" (record type {n})"),
    });
    let flexible = message.flexible.map_or_else(|| "never flexible".into(), |f| format!("flexible from {f}"));
    format!("{}{number}, versions {min} to {max}, {flexible}", message.name)
}

fn structure(message: &Message, name: &str, fields: &[Field], within: Versions) -> String {
    let mut out = String::new();
    let custom: Vec<_> = fields.iter().map(|f| types::custom_default(message, f)).collect();
    let derived = if custom.iter().all(Option::is_none) { ", Default" } else { "" };
    if name == message.name {
        writeln!(out, "/// {}.", describe(message)).ok();
    } else {
        writeln!(out, "/// {name} of {}, versions {} to {}.", message.name, within.min, within.max).ok();
    }
    writeln!(out, "#[derive(Clone, Debug, PartialEq{derived})]\npub struct {name} {{").ok();
    for field in fields {
        writeln!(out, "    pub {}: {},", snake(&field.name), types::rust_type(message, field)).ok();
    }
    if message.flexible.is_some() {
        writeln!(out, "    pub unknown_tagged_fields: Vec<(u32, Bytes)>,").ok();
    }
    writeln!(out, "}}\n").ok();
    if derived.is_empty() {
        out.push_str(&default_impl(message, name, fields, &custom));
    }
    writeln!(out, "impl {name} {{").ok();
    if message.is_array_element(name) {
        out.push_str(&size::min_size_function(message, fields, within));
    }
    out.push_str(&decode::function(message, fields, within));
    out.push_str(&encode::function(message, fields, within));
    writeln!(out, "}}\n").ok();
    out
}

fn default_impl(message: &Message, name: &str, fields: &[Field], custom: &[Option<String>]) -> String {
    let mut out = format!("impl Default for {name} {{\n    fn default() -> Self {{\n        Self {{\n");
    for (field, custom) in fields.iter().zip(custom) {
        let value = custom.clone().unwrap_or_else(|| "Default::default()".into());
        writeln!(out, "            {}: {value},", snake(&field.name)).ok();
    }
    if message.flexible.is_some() {
        writeln!(out, "            unknown_tagged_fields: Vec::new(),").ok();
    }
    out.push_str("        }\n    }\n}\n\n");
    out
}

fn message_impl(message: &Message) -> String {
    let name = &message.name;
    let key = match message.kind {
        Kind::Request | Kind::Response => message.number.unwrap_or(-1),
        _ => -1,
    };
    let Versions { min, max } = message.versions;
    let mut out = String::new();
    if let (Some(number), true) = (message.number, key == -1) {
        writeln!(
            out,
            "impl {name} {{\n    /// The record type.\n    pub const RECORD_TYPE: i16 = {number};\n}}\n"
        )
        .ok();
    }
    write!(
        out,
        "impl Message for {name} {{
    const NAME: &'static str = \"{name}\";
    const API_KEY: i16 = {key};
    const MIN: i16 = {min};
    const MAX: i16 = {max};
    const FLEXIBLE: Option<i16> = {flexible:?};

    fn decode(buf: &mut Decoder, version: i16) -> Result<Self, DecodeError> {{
        check_decodable::<Self>(version)?;
        buf.nested(Self::NAME, |d| {name}::read(d, version))
    }}

    fn encode(&self, enc: &mut Encoder, version: i16) -> Result<(), EncodeError> {{
        check_encodable::<Self>(version)?;
        enc.nested(Self::NAME, self, |e, m| {name}::write(m, e, version))
    }}
}}
",
        flexible = message.flexible
    )
    .ok();
    out
}

fn request_impl(request: &Message, messages: &[Message]) -> String {
    let response = messages.iter().find(|m| m.kind == Kind::Response && m.number == request.number);
    response.map_or(String::new(), |response| {
        format!(
            "\nimpl Request for {} {{\n    type Response = super::{}::{};\n}}\n",
            request.name,
            snake(&response.name),
            response.name
        )
    })
}
