//! Writes the encoder of a struct.

use std::fmt::Write;

use super::model::{Field, Message, Type, Versions};
use super::names::snake;
use super::types;

/// `fn write` of a struct whose versions are `within`.
pub fn function(message: &Message, fields: &[Field], within: Versions) -> String {
    let mut body = String::new();
    let flexible = message.flexible_versions().intersect(within);
    if !flexible.is_empty() {
        let condition = flexible.condition(within).unwrap_or_else(|| "true".into());
        writeln!(body, "        let flex = {condition};").ok();
    }
    for field in fields {
        let versions = field.versions.intersect(within);
        let write = field.tag.is_none().then(|| {
            let flex = if flexible.is_empty() { "false" } else { "flex" };
            value(message, field, versions, flex)
        });
        body.push_str(&present_or_absent(message, field, within, versions, write));
    }
    if !flexible.is_empty() {
        body.push_str(&tagged(message, fields, flexible));
    }
    format!(
        "    fn write(&self, e: &mut Encoder, v: i16) -> Result<(), EncodeError> {{\n{body}        Ok(())\n    }}\n"
    )
}

/// Writes the field where its version has it; elsewhere a value that would be lost is refused. Tagged fields are
/// written later, and have no `write` here.
fn present_or_absent(
    message: &Message,
    field: &Field,
    within: Versions,
    versions: Versions,
    write: Option<String>,
) -> String {
    let Some(condition) = versions.condition(within) else {
        return write.map_or(String::new(), |write| format!("        {write}\n"));
    };
    let mut out = String::new();
    if let Some(write) = write.filter(|_| !versions.is_empty()) {
        writeln!(out, "        if {condition} {{\n            {write}\n        }}").ok();
    }
    if !field.ignorable {
        let name = &field.name;
        let differs = types::differs_from_default(message, field, &snake(name));
        writeln!(out, "        if !({condition}) && {differs} {{").ok();
        writeln!(out, "            return Err(EncodeError::absent(\"{name}\", v));\n        }}").ok();
    }
    out
}

/// The statement that writes a field present in `versions`.
fn value(message: &Message, field: &Field, versions: Versions, flex: &str) -> String {
    let name = &field.name;
    let rust = snake(name);
    let nullable = field.nullable.intersect(versions);
    let null_allowed = if nullable.is_empty() {
        "false".into()
    } else {
        nullable.condition(versions).unwrap_or_else(|| "true".into())
    };
    let option = types::is_option(message, field);
    match &field.ty {
        Type::String | Type::Bytes => {
            let write = if field.ty == Type::String { "string" } else { "bytes" };
            match option {
                true if field.null_as_empty => {
                    let or_empty =
                        format!("self.{rust}.as_ref().or_else(|| (!({null_allowed})).then_some(&EMPTY))");
                    format!("e.nullable_{write}(\"{name}\", {flex}, true, {or_empty})?;")
                }
                true => {
                    format!("e.nullable_{write}(\"{name}\", {flex}, {null_allowed}, self.{rust}.as_ref())?;")
                }
                false => format!("e.{write}(\"{name}\", {flex}, &self.{rust})?;"),
            }
        }
        Type::Records if option => {
            format!("e.nullable_bytes(\"{name}\", {flex}, {null_allowed}, self.{rust}.as_ref())?;")
        }
        Type::Records => format!("e.records(\"{name}\", {flex}, {null_allowed}, &self.{rust})?;"),
        Type::Array(element) => {
            let write = element_writer(element, flex);
            match option {
                true => format!(
                    "e.nullable_array(\"{name}\", {flex}, {null_allowed}, self.{rust}.as_deref(), |e, item| {write})?;"
                ),
                false => format!("e.array(\"{name}\", {flex}, &self.{rust}, |e, item| {write})?;"),
            }
        }
        Type::Struct(_) if option => {
            format!(
                "e.nullable_nested(\"{name}\", {null_allowed}, self.{rust}.as_ref(), |e, item| item.write(e, v))?;"
            )
        }
        Type::Struct(_) => format!("e.nested(\"{name}\", &self.{rust}, |e, item| item.write(e, v))?;"),
        Type::Uuid => format!("e.uuid(&self.{rust});"),
        fixed => format!("e.{}(self.{rust});", fixed_writer(fixed)),
    }
}

fn element_writer(element: &Type, flex: &str) -> String {
    match element {
        Type::Struct(_) => "item.write(e, v)".into(),
        Type::String => format!("e.string(\"\", {flex}, item)"),
        Type::Bytes => format!("e.bytes(\"\", {flex}, item)"),
        Type::Uuid => "{ e.uuid(item); Ok(()) }".into(),
        fixed => format!("{{ e.{}(*item); Ok(()) }}", fixed_writer(fixed)),
    }
}

fn fixed_writer(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Uint16 => "uint16",
        Type::Int32 => "int32",
        _ => "int64",
    }
}

fn tagged(message: &Message, fields: &[Field], flexible: Versions) -> String {
    let mut known: Vec<(u32, &Field, Versions)> = fields
        .iter()
        .filter_map(|f| f.tag.map(|tag| (tag, f, f.versions.intersect(flexible))))
        .filter(|(_, _, versions)| !versions.is_empty())
        .collect();
    known.sort_by_key(|(tag, ..)| *tag);
    if known.is_empty() {
        return "        if flex {\n            e.unknown_tagged_fields(&self.unknown_tagged_fields)?;\n        }\n".into();
    }
    let mut body = String::new();
    for (tag, field, versions) in &known {
        let differs = types::differs_from_default(message, field, &snake(&field.name));
        let condition = versions.condition(flexible).map_or(String::new(), |c| format!("{c} && "));
        writeln!(body, "            let has_{tag} = {condition}{differs};").ok();
    }
    let count: Vec<String> = known.iter().map(|(tag, ..)| format!("usize::from(has_{tag})")).collect();
    writeln!(body, "            let known = {};", count.join(" + ")).ok();
    writeln!(body, "            let mut tags = e.begin_tagged_fields(known, &self.unknown_tagged_fields)?;")
        .ok();
    for (tag, field, versions) in &known {
        let write = value(message, field, *versions, "true");
        writeln!(body, "            if has_{tag} {{").ok();
        writeln!(body, "                tags.field(e, {tag}, |e| {{\n                    {write}\n                    Ok(())\n                }})?;").ok();
        writeln!(body, "            }}").ok();
    }
    writeln!(body, "            tags.finish(e)?;").ok();
    format!("        if flex {{\n{body}        }}\n")
}
