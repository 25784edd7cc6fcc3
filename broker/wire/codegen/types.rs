//! Rust types and default values of the fields.

use super::model::{Field, Kind, Message, Type};

/// The Rust type of a field.
pub fn rust_type(message: &Message, field: &Field) -> String {
    let plain = plain_type(message, &field.ty);
    if is_option(message, field) { format!("Option<{plain}>") } else { plain }
}

/// Whether the field is an `Option`. Records of responses carry their own null.
pub fn is_option(message: &Message, field: &Field) -> bool {
    field.is_nullable() && !(field.ty == Type::Records && message.kind == Kind::Response)
}

fn plain_type(message: &Message, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::Int8 => "i8".into(),
        Type::Int16 => "i16".into(),
        Type::Uint16 => "u16".into(),
        Type::Int32 => "i32".into(),
        Type::Int64 => "i64".into(),
        Type::Uuid => "Uuid".into(),
        Type::String => "Str".into(),
        Type::Bytes => "Bytes".into(),
        Type::Records if message.kind == Kind::Response => "Records".into(),
        Type::Records => "Bytes".into(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", plain_type(message, element)),
    }
}

/// The default of a field, when it is not the default of its Rust type.
pub fn custom_default(message: &Message, field: &Field) -> Option<String> {
    let option = is_option(message, field);
    match field.default.as_deref() {
        Some("null") => None,
        Some(value) => literal(&field.ty, value).map(|v| if option { format!("Some({v})") } else { v }),
        None if option && field.ty == Type::Records => None,
        None if option => Some("Some(Default::default())".into()),
        None => None,
    }
}

fn literal(ty: &Type, value: &str) -> Option<String> {
    let lower = value.to_lowercase();
    match ty {
        Type::Bool => (lower == "true").then_some(lower),
        _ if value == "0" => None,
        _ => Some(value.to_owned()),
    }
}

/// A Rust condition: does `self.field` hold anything else than its default?
pub fn differs_from_default(message: &Message, field: &Field, name: &str) -> String {
    let option = is_option(message, field);
    if option {
        return match custom_default(message, field) {
            None => format!("self.{name}.is_some()"),
            Some(_) => format!("self.{name} != Some(Default::default())"),
        };
    }
    match (&field.ty, custom_default(message, field)) {
        (_, Some(value)) => match value.as_str() {
            "true" => format!("!self.{name}"),
            value => format!("self.{name} != {value}"),
        },
        (Type::Bool, None) => format!("self.{name}"),
        (Type::Uuid, None) => format!("!self.{name}.is_nil()"),
        (Type::String | Type::Bytes | Type::Records | Type::Array(_), None) => {
            format!("!self.{name}.is_empty()")
        }
        (Type::Struct(ty), None) => format!("self.{name} != {ty}::default()"),
        (_, None) => format!("self.{name} != 0"),
    }
}
