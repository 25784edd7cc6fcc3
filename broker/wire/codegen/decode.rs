//! Writes the decoder of a struct.

use std::fmt::Write;

use super::model::{Field, Message, Type, Versions};
use super::names::snake;
use super::{size, types};

/// `fn read` of a struct whose versions are `within`.
pub fn function(message: &Message, fields: &[Field], within: Versions) -> String {
    let mut body = String::new();
    let flexible = message.flexible_versions().intersect(within);
    if !flexible.is_empty() {
        let condition = flexible.condition(within).unwrap_or_else(|| "true".into());
        writeln!(body, "        let flex = {condition};").ok();
    }
    writeln!(body, "        let mut m = Self::default();").ok();
    for field in fields.iter().filter(|f| f.tag.is_none()) {
        let versions = field.versions.intersect(within);
        if !versions.is_empty() {
            let assign =
                format!("m.{} = {};", snake(&field.name), value(message, field, versions, &flex(flexible)));
            body.push_str(&guarded(versions.condition(within), &assign));
        }
    }
    if !flexible.is_empty() {
        body.push_str(&tagged(message, fields, flexible));
    }
    format!(
        "    fn read(d: &mut Decoder, v: i16) -> Result<Self, DecodeError> {{\n{body}        Ok(m)\n    }}\n"
    )
}

fn flex(flexible: Versions) -> String {
    if flexible.is_empty() { "false".into() } else { "flex".into() }
}

fn guarded(condition: Option<String>, statement: &str) -> String {
    match condition {
        None => format!("        {statement}\n"),
        Some(condition) => format!("        if {condition} {{\n            {statement}\n        }}\n"),
    }
}

/// The expression that reads a field present in `versions`.
fn value(message: &Message, field: &Field, versions: Versions, flex: &str) -> String {
    let name = &field.name;
    let nullable = field.nullable.intersect(versions);
    let null_allowed = if nullable.is_empty() {
        "false".into()
    } else {
        nullable.condition(versions).unwrap_or_else(|| "true".into())
    };
    let option = types::is_option(message, field);
    match &field.ty {
        Type::String | Type::Bytes => {
            let read = if field.ty == Type::String { "string" } else { "bytes" };
            match option {
                true => format!("d.nullable_{read}(\"{name}\", {flex}, {null_allowed})?"),
                false => format!("d.{read}(\"{name}\", {flex})?"),
            }
        }
        Type::Records if option => format!("d.nullable_bytes(\"{name}\", {flex}, {null_allowed})?"),
        Type::Records => format!("d.records(\"{name}\", {flex}, {null_allowed})?"),
        Type::Array(element) => {
            let min = element_minimum(message, element, versions);
            let read = element_reader(element, flex);
            match option {
                true => format!("d.nullable_array(\"{name}\", {flex}, {null_allowed}, {min}, |d| {read})?"),
                false => format!("d.array(\"{name}\", {flex}, {min}, |d| {read})?"),
            }
        }
        Type::Struct(ty) if option => format!("d.nullable_nested(\"{name}\", |d| {ty}::read(d, v))?"),
        Type::Struct(ty) => format!("d.nested(\"{name}\", |d| {ty}::read(d, v))?"),
        fixed => format!("d.{}(\"{name}\")?", fixed_reader(fixed)),
    }
}

fn element_minimum(message: &Message, element: &Type, versions: Versions) -> String {
    match element {
        Type::Struct(name) => format!("{name}::min_size(v)"),
        _ => {
            let last = versions.max.min(message.versions.max);
            let smallest = (versions.min..=last).map(|v| size::minimum(message, element, v, false)).min();
            smallest.unwrap_or(1).to_string()
        }
    }
}

fn element_reader(element: &Type, flex: &str) -> String {
    match element {
        Type::Struct(ty) => format!("{ty}::read(d, v)"),
        Type::String => format!("d.string(\"\", {flex})"),
        Type::Bytes => format!("d.bytes(\"\", {flex})"),
        fixed => format!("d.{}(\"\")", fixed_reader(fixed)),
    }
}

fn fixed_reader(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Uint16 => "uint16",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        _ => "uuid",
    }
}

fn tagged(message: &Message, fields: &[Field], flexible: Versions) -> String {
    let mut arms = String::new();
    for field in fields {
        let versions = field.versions.intersect(flexible);
        let Some(tag) = field.tag.filter(|_| !versions.is_empty()) else { continue };
        let guard = versions.condition(flexible).map_or(String::new(), |c| format!(" if {c}"));
        let read = value(message, field, versions, "true");
        writeln!(arms, "                    {tag}{guard} => m.{} = {read},", snake(&field.name)).ok();
    }
    if arms.is_empty() {
        return "        if flex {\n            m.unknown_tagged_fields = d.unknown_tagged_fields()?;\n        }\n".into();
    }
    format!(
        "        if flex {{
            m.unknown_tagged_fields = d.tagged_fields(|d, tag| {{
                match tag {{
{arms}                    _ => return Ok(false),
                }}
                Ok(true)
            }})?;
        }}
"
    )
}
