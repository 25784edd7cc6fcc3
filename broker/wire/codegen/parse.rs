//! Reads the notation of the tables: a header line for each message, one indented line for each field.

use std::collections::BTreeMap;

use super::model::{Field, Kind, Message, Type, Versions};

/// Parses one file; an error starts with the line number.
pub fn table(text: &str) -> Result<Vec<Message>, String> {
    let mut messages: Vec<Message> = Vec::new();
    let mut open: Vec<Scope> = Vec::new();
    for (number, raw) in text.lines().enumerate() {
        let line = raw.trim_end();
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let at = |e: String| format!("{}: {e}", number + 1);
        let indent = line.len() - line.trim_start().len();
        if indent == 0 {
            messages.push(header(line).map_err(at)?);
            open = vec![Scope { indent: 2, owner: None }];
            continue;
        }
        let message = messages.last_mut().ok_or_else(|| at("a field before any message".into()))?;
        body_line(message, &mut open, indent, line.trim_start()).map_err(at)?;
    }
    Ok(messages)
}

/// Fields at `indent` belong to the struct `owner`, or to the message.
struct Scope {
    indent: usize,
    owner: Option<String>,
}

fn body_line(message: &mut Message, open: &mut Vec<Scope>, indent: usize, line: &str) -> Result<(), String> {
    while open.last().is_some_and(|scope| scope.indent > indent) {
        open.pop();
    }
    let scope = open.last().filter(|scope| scope.indent == indent).ok_or("unexpected indentation")?;
    if let Some(shared) = line.strip_prefix("struct ") {
        let name = shared.split_whitespace().next().ok_or("struct without a name")?.to_owned();
        message.structs.entry(name.clone()).or_default();
        open.push(Scope { indent: indent + 2, owner: Some(name) });
        return Ok(());
    }
    let field = field(line)?;
    let inner = field.ty.struct_name().map(str::to_owned);
    match &scope.owner {
        None => message.fields.push(field),
        Some(owner) => message.structs.entry(owner.clone()).or_default().push(field),
    }
    if let Some(name) = inner {
        open.push(Scope { indent: indent + 2, owner: Some(name) });
    }
    Ok(())
}

fn header(line: &str) -> Result<Message, String> {
    let mut words = line.split_whitespace();
    let kind = kind(words.next().unwrap_or_default())?;
    let number = match kind {
        Kind::Data => None,
        _ => Some(parse_number(words.next().unwrap_or_default())?),
    };
    let name = words.next().ok_or("message without a name")?.to_owned();
    let rest: Vec<&str> = words.collect();
    let property =
        |key: &str| rest.chunks(2).find(|pair| pair.first() == Some(&key)).and_then(|p| p.get(1).copied());
    let versions = versions(property("versions").ok_or("message without versions")?)?;
    let flexible = match property("flexible").ok_or("message without flexible versions")? {
        "none" => None,
        range => Some(self::versions(range)?.min),
    };
    Ok(Message { kind, number, name, versions, flexible, fields: Vec::new(), structs: BTreeMap::new() })
}

fn kind(word: &str) -> Result<Kind, String> {
    Ok(match word {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "coordinator-key" => Kind::CoordinatorKey,
        "coordinator-value" => Kind::CoordinatorValue,
        "metadata-record" => Kind::MetadataRecord,
        "data" => Kind::Data,
        other => return Err(format!("unknown kind of message: {other}")),
    })
}

fn field(line: &str) -> Result<Field, String> {
    let (name, rest) = line.split_once(": ").ok_or_else(|| format!("no type in: {line}"))?;
    let (declaration, notes) = match rest.split_once('(') {
        Some((declaration, notes)) => (declaration, notes.strip_suffix(')').ok_or("unclosed notes")?),
        None => (rest, ""),
    };
    let mut words = declaration.split_whitespace();
    let ty = field_type(words.next().ok_or("field without a type")?)?;
    let range = words.next().ok_or("field without versions")?;
    let mut field = Field {
        name: name.to_owned(),
        ty,
        versions: if range == "-" { Versions { min: 0, max: i16::MAX } } else { versions(range)? },
        tag: None,
        nullable: Versions::NONE,
        default: None,
        ignorable: false,
        null_as_empty: false,
    };
    for note in notes.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        apply_note(&mut field, note)?;
    }
    Ok(field)
}

fn apply_note(field: &mut Field, note: &str) -> Result<(), String> {
    if let Some(tag) = note.strip_prefix("tag=") {
        let (number, range) = tag.split_once('@').ok_or("a tag needs versions")?;
        field.tag = Some(number.parse().map_err(|_| format!("bad tag: {number}"))?);
        field.versions = field.versions.intersect(versions(range)?);
        return Ok(());
    }
    match note.split_once(' ').unwrap_or((note, "")) {
        ("nullable", range) => field.nullable = versions(range)?,
        ("default", value) => field.default = Some(value.to_owned()),
        ("ignorable", "") => field.ignorable = true,
        ("null-as-empty", "") => field.null_as_empty = true,
        ("entity", _) => {}
        _ => return Err(format!("unknown note: {note}")),
    }
    Ok(())
}

fn field_type(word: &str) -> Result<Type, String> {
    if let Some(element) = word.strip_prefix("[]") {
        return Ok(Type::Array(Box::new(field_type(element)?)));
    }
    Ok(match word {
        "bool" => Type::Bool,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        name if name.starts_with(char::is_uppercase) => Type::Struct(name.to_owned()),
        other => return Err(format!("unknown type: {other}")),
    })
}

fn versions(range: &str) -> Result<Versions, String> {
    if let Some(min) = range.strip_suffix('+') {
        return Ok(Versions { min: parse_number(min)?, max: i16::MAX });
    }
    let (min, max) = range.split_once('-').unwrap_or((range, range));
    Ok(Versions { min: parse_number(min)?, max: parse_number(max)? })
}

fn parse_number(text: &str) -> Result<i16, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}
