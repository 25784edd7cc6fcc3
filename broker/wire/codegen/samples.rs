//! Writes what the tests need: a sampler for every struct, and a macro that lists every message.

use std::fmt::Write;

use super::model::{Field, Kind, Message, Type, Versions};
use super::names::snake;
use super::types;

/// One module of samplers per message, then `for_every_message!`.
pub fn modules(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        let module = snake(&message.name);
        writeln!(out, "pub mod {module} {{").ok();
        writeln!(
            out,
            "    #[allow(unused_imports)]\n    use super::*;\n    use klamm_wire::messages::{module}::*;\n"
        )
        .ok();
        for (name, fields, within) in message.all_structs() {
            out.push_str(&sampler(message, name, fields, within));
        }
        out.push_str("}\n\n");
    }
    out.push_str(&list("for_every_message", messages, |_| true));
    out.push_str(&list("for_every_kafka_message", messages, is_in_kafka_protocol));
    out
}

/// A macro that calls another with the module and the name of each message.
fn list(name: &str, messages: &[Message], filter: fn(&Message) -> bool) -> String {
    let mut out = format!("#[allow(unused_macros)]\nmacro_rules! {name} {{\n    ($visit:ident) => {{\n");
    for message in messages.iter().filter(|m| filter(m)) {
        writeln!(out, "        $visit!({}, {});", snake(&message.name), message.name).ok();
    }
    out.push_str("    };\n}\n");
    out
}

/// Messages that clients know: neither records of a log nor private keys.
fn is_in_kafka_protocol(message: &Message) -> bool {
    match message.kind {
        Kind::Request | Kind::Response => message.number.is_some_and(|key| key < 1000),
        Kind::Data => true,
        _ => false,
    }
}

fn function(message: &Message, name: &str) -> String {
    if name == message.name { "sample".into() } else { format!("sample_{}", snake(name)) }
}

fn sampler(message: &Message, name: &str, fields: &[Field], within: Versions) -> String {
    let mut out = format!(
        "    #[allow(clippy::field_reassign_with_default, unused_variables, unused_mut)]\n    pub fn {}(s: &mut Sampler, v: i16) -> {name} {{\n        let mut m = {name}::default();\n",
        function(message, name)
    );
    for field in fields {
        let versions = field.versions.intersect(within);
        if versions.is_empty() {
            continue;
        }
        let assign = format!("m.{} = {};", snake(&field.name), value(message, field, versions));
        match versions.condition(within) {
            None => writeln!(out, "        {assign}").ok(),
            Some(condition) => writeln!(out, "        if {condition} {{ {assign} }}").ok(),
        };
    }
    let flexible = message.flexible_versions().intersect(within);
    if !flexible.is_empty() {
        let condition = flexible.condition(within).unwrap_or_else(|| "true".into());
        writeln!(out, "        if {condition} {{ m.unknown_tagged_fields = s.unknown_tagged_fields(); }}")
            .ok();
    }
    out.push_str("        m\n    }\n");
    out
}

fn value(message: &Message, field: &Field, versions: Versions) -> String {
    let plain = plain(message, &field.ty);
    let nullable = field.nullable.intersect(versions);
    let null_allowed = nullable.condition(versions).unwrap_or_else(|| "true".into());
    match types::is_option(message, field) {
        false => plain,
        true if nullable.is_empty() => format!("Some({plain})"),
        true => format!("if ({null_allowed}) && s.null() {{ None }} else {{ Some({plain}) }}"),
    }
}

fn plain(message: &Message, ty: &Type) -> String {
    match ty {
        Type::Struct(name) => format!("{}(s, v)", function(message, name)),
        Type::Array(element) => format!("s.array(|s| {})", plain(message, element)),
        Type::Bool => "s.bool()".into(),
        Type::Int8 => "s.int64() as i8".into(),
        Type::Int16 => "s.int64() as i16".into(),
        Type::Uint16 => "s.int64() as u16".into(),
        Type::Int32 => "s.int64() as i32".into(),
        Type::Int64 => "s.int64()".into(),
        Type::Uuid => "s.uuid()".into(),
        Type::String => "s.string()".into(),
        Type::Bytes => "s.bytes()".into(),
        Type::Records if message.kind == Kind::Response => "Records::Bytes(s.bytes())".into(),
        Type::Records => "s.bytes()".into(),
    }
}
