//! The smallest encoding of each type: what bounds an array before anything is reserved for it.

use super::model::{Field, Message, Type, Versions};

/// Bytes that the smallest value of `ty` takes at `version`.
pub fn minimum(message: &Message, ty: &Type, version: i16, nullable: bool) -> usize {
    let flexible = message.flexible_versions().contains(version);
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 => 4,
        Type::Int64 => 8,
        Type::Uuid => 16,
        Type::String if flexible => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
        Type::Struct(_) if nullable => 1,
        Type::Struct(name) => message.structs.get(name).map_or(0, |f| fields(message, f, version)),
    }
}

/// Bytes that the smallest struct with `fields` takes at `version`.
pub fn fields(message: &Message, fields: &[Field], version: i16) -> usize {
    let tag_count = usize::from(message.flexible_versions().contains(version));
    let present = fields.iter().filter(|f| f.tag.is_none() && f.versions.contains(version));
    let sizes = present.map(|f| minimum(message, &f.ty, version, f.nullable.contains(version)));
    tag_count + sizes.sum::<usize>()
}

/// `min_size(v)` of a struct as the arms of a match: runs of versions with equal sizes.
pub fn min_size_function(message: &Message, struct_fields: &[Field], versions: Versions) -> String {
    let mut runs: Vec<(i16, usize)> = Vec::new();
    for version in versions.min..=versions.max {
        let size = fields(message, struct_fields, version);
        match runs.last_mut() {
            Some((last, known)) if *known == size => *last = version,
            _ => runs.push((version, size)),
        }
    }
    let last = runs.pop().map_or(0, |(_, size)| size);
    if runs.is_empty() {
        return format!("    const fn min_size(_: i16) -> usize {{\n        {last}\n    }}\n");
    }
    let arms: String = runs.iter().map(|(to, size)| format!("            ..={to} => {size},\n")).collect();
    format!(
        "    const fn min_size(v: i16) -> usize {{\n        match v {{\n{arms}            _ => {last},\n        }}\n    }}\n"
    )
}
