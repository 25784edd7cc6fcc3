//! What a request is about.

use http::{Method, Uri};

/// A kind of objects, as it stands in paths and roles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural.
    pub resource: String,
}

impl Kind {
    pub fn new(group: &str, resource: &str) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
    pub query: Vec<(String, String)>,
}

impl Target {
    pub fn parse(uri: &Uri) -> Option<Self> {
        let mut parts = uri.path().trim_matches('/').split('/').map(str::to_owned);
        let group = match parts.next()?.as_str() {
            "api" => String::new(),
            "apis" => parts.next()?,
            _ => return None,
        };
        parts.next()?;
        let mut rest: Vec<String> = parts.collect();
        let namespace =
            (rest.first().map(String::as_str) == Some("namespaces") && rest.len() > 2).then(|| {
                rest.remove(0);
                rest.remove(0)
            });
        let mut rest = rest.into_iter();
        let kind = Kind { group, resource: rest.next()? };
        let query = uri.query().unwrap_or_default().split('&').filter_map(pair).collect();
        Some(Self { kind, namespace, name: rest.next(), subresource: rest.next(), query })
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The verb as roles name it.
    pub fn verb(&self, method: &Method) -> &'static str {
        match (method, &self.name) {
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) if self.parameter("watch").is_some() => "watch",
            (&Method::GET, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            _ => "delete",
        }
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (!key.is_empty()).then(|| (key.to_owned(), decode(value)))
}

/// Percent decoding, as far as labels need it.
fn decode(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = String::from_utf8(digits).unwrap();
                out.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}
