//! Mistakes in the tables that would otherwise surface as confusing compiler errors.

use std::collections::HashSet;

use super::model::{Message, Type};

/// Every message has a name of its own, every struct that is used is defined.
pub fn unique_names(messages: &[Message]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for message in messages {
        if !seen.insert(message.name.as_str()) {
            return Err(format!("{} is defined twice", message.name));
        }
        for (owner, fields, _) in message.all_structs() {
            for field in fields {
                if field.ty.struct_name().is_some_and(|name| !message.structs.contains_key(name)) {
                    return Err(format!("{}: {owner}.{} has no fields", message.name, field.name));
                }
                if matches!(&field.ty, Type::Array(element) if matches!(**element, Type::Array(_))) {
                    return Err(format!("{}: {owner}.{} is an array of arrays", message.name, field.name));
                }
            }
        }
    }
    Ok(())
}
