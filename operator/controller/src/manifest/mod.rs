//! Reads a manifest: one KafkaCluster and its KafkaTopics as YAML documents, as strictly as an API server would.

mod locate;

use std::fmt;
use std::path::{Path, PathBuf};

use klamm_operator_api::nearest::nearest;
use klamm_operator_api::{API_VERSION, KafkaCluster, KafkaTopic, crds, strict};
use klamm_operator_plan::{Problem, Resources, Subject, Validated, validate};
use serde::Deserialize;
use serde_json::Value;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Why a manifest was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file could not be read.
    #[error("cannot read manifest {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read, and something in it is wrong.
    #[error("{} is not accepted:{}", path.display(), list(complaints))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        complaints: Vec<Complaint>,
    },
}

/// One thing that is wrong, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The line, counted from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn list(complaints: &[Complaint]) -> String {
    complaints.iter().map(|complaint| format!("\n  {complaint}")).collect()
}

/// A manifest that was accepted.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What it asks for.
    pub desired: Validated,
    documents: Vec<Document>,
}

/// One YAML document of the file.
#[derive(Clone, Debug)]
struct Document {
    first_line: usize,
    text: String,
    subject: Option<Subject>,
}

impl Document {
    fn complain(&self, path: &[String], message: String) -> Complaint {
        let line = locate::line_of(&self.text, path).map(|line| self.first_line + line);
        Complaint { line, message }
    }
}

impl Manifest {
    /// Reads and judges a file.
    ///
    /// # Errors
    /// If it cannot be read, or with everything that is wrong in it.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let unreadable = |source| ManifestError::Unreadable { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            let message = format!("it has {length} bytes, and at most {MAX_BYTES} are read");
            return Err(unreadable(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        parse(&text).map_err(|complaints| ManifestError::Refused { path: path.to_owned(), complaints })
    }

    /// Problems of the planner as complaints with their line.
    pub fn complaints(&self, problems: &[Problem]) -> Vec<Complaint> {
        located(problems, &self.documents)
    }
}

fn located(problems: &[Problem], documents: &[Document]) -> Vec<Complaint> {
    let complain = |problem: &Problem| {
        let document = documents.iter().find(|document| document.subject.as_ref() == Some(&problem.subject));
        let message = problem.to_string();
        document.map_or_else(
            || Complaint { line: None, message: message.clone() },
            |document| document.complain(&problem.path, message.clone()),
        )
    };
    problems.iter().map(complain).collect()
}

/// Judges the text of a manifest.
fn parse(text: &str) -> Result<Manifest, Vec<Complaint>> {
    let mut complaints = Vec::new();
    let (mut clusters, mut topics) = (Vec::new(), Vec::new());
    let mut documents = Vec::new();
    for mut document in split(text) {
        match resource(&mut document) {
            Ok(Some(Resource::Cluster(cluster))) => clusters.push(*cluster),
            Ok(Some(Resource::Topic(topic))) => topics.push(*topic),
            Ok(None) => continue,
            Err(found) => complaints.extend(found),
        }
        documents.push(document);
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let cluster = only_one(clusters, &documents)?;
    let desired =
        validate(&Resources { cluster, topics }).map_err(|problems| located(&problems, &documents))?;
    Ok(Manifest { desired, documents })
}

fn only_one(mut clusters: Vec<KafkaCluster>, documents: &[Document]) -> Result<KafkaCluster, Vec<Complaint>> {
    match (clusters.pop(), clusters.pop()) {
        (Some(cluster), None) => Ok(cluster),
        (None, _) => {
            let message = format!(
                "there is no KafkaCluster: add a document with apiVersion {API_VERSION}, kind KafkaCluster"
            );
            Err(vec![Complaint { line: None, message }])
        }
        (Some(second), Some(_)) => {
            let name = second.metadata.name.unwrap_or_default();
            let subject = Subject::Cluster(name.clone());
            let line = documents.iter().rfind(|d| d.subject.as_ref() == Some(&subject)).map(|d| d.first_line);
            let message =
                format!("KafkaCluster {name} is not the only one: give each cluster a file of its own");
            Err(vec![Complaint { line, message }])
        }
    }
}

enum Resource {
    Cluster(Box<KafkaCluster>),
    Topic(Box<KafkaTopic>),
}

/// Reads one document; `None` if it is empty.
fn resource(document: &mut Document) -> Result<Option<Resource>, Vec<Complaint>> {
    let value: Value = match serde_yaml::Deserializer::from_str(&document.text).next() {
        None => return Ok(None),
        Some(yaml) => Value::deserialize(yaml).map_err(|error| vec![not_yaml(document, &error)])?,
    };
    if value.is_null() {
        return Ok(None);
    }
    let kind = kind(document, &value)?;
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("(unnamed)").to_owned();
    let subject = if kind == "KafkaCluster" { Subject::Cluster(name) } else { Subject::Topic(name) };
    document.subject = Some(subject.clone());
    let definitions = crds::all();
    let definition = definitions.iter().find(|crd| crd.definition.spec.names.kind == kind);
    let violations = definition.map(|crd| strict::check(&value, &crd.definition)).unwrap_or_default();
    if !violations.is_empty() {
        let complain = |v: &strict::Violation| document.complain(&v.path, format!("{subject}: {v}"));
        return Err(violations.iter().map(complain).collect());
    }
    let wrong = |error: serde_json::Error| vec![document.complain(&[], format!("{subject}: {error}"))];
    let resource = match subject {
        Subject::Cluster(_) => Resource::Cluster(Box::new(serde_json::from_value(value).map_err(wrong)?)),
        Subject::Topic(_) => Resource::Topic(Box::new(serde_json::from_value(value).map_err(wrong)?)),
    };
    Ok(Some(resource))
}

fn not_yaml(document: &Document, error: &serde_yaml::Error) -> Complaint {
    let line = error.location().map(|at| document.first_line + at.line().saturating_sub(1));
    // The error counts lines from the start of its document.
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    Complaint { line, message: format!("this is not valid YAML: {what}") }
}

/// The kind of a document, if it is one of ours.
fn kind(document: &Document, value: &Value) -> Result<&'static str, Vec<Complaint>> {
    const KINDS: [&str; 2] = ["KafkaCluster", "KafkaTopic"];
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let complain = |name: &str, message: String| Err(vec![document.complain(&[name.to_owned()], message)]);
    if let Some(fields) = value.as_object() {
        for name in ["apiVersion", "kind"].into_iter().filter(|name| !fields.contains_key(*name)) {
            let others = fields
                .keys()
                .map(String::as_str)
                .filter(|field| !["metadata", "spec", "status"].contains(field));
            if let Some(typo) = nearest(name, others) {
                return complain(typo, format!("{typo}: there is no such field; did you mean {name}?"));
            }
        }
    }
    let (version, kind) = (field("apiVersion"), field("kind"));
    let Some(known) = KINDS.into_iter().find(|known| *known == kind) else {
        let meant = nearest(&kind, KINDS).map(|k| format!("did you mean {k}?"));
        let hint = meant.unwrap_or_else(|| format!("known are {}", KINDS.join(" and ")));
        return complain("kind", format!("kind: {kind:?} is not known here; {hint}"));
    };
    if version != API_VERSION {
        return complain(
            "apiVersion",
            format!("apiVersion: {version:?} is not known here: set it to {API_VERSION}"),
        );
    }
    Ok(known)
}

/// Cuts the file at its `---` lines, so that lines can be counted.
fn split(text: &str) -> Vec<Document> {
    let mut documents = vec![Document { first_line: 1, text: String::new(), subject: None }];
    for (index, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            documents.push(Document { first_line: index + 2, text: String::new(), subject: None });
        } else if let Some(document) = documents.last_mut() {
            document.text.push_str(line);
            document.text.push('\n');
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "apiVersion: klamm.dev/v1alpha1\nkind: KafkaCluster\nmetadata: {name: c}\n";
    const TOPIC: &str = "---\napiVersion: klamm.dev/v1alpha1\nkind: KafkaTopic\nmetadata: {name: t}\n";

    fn refused(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_cluster_and_its_topics_are_read() {
        let text = format!(
            "{CLUSTER}spec: {{kafka: {{replicas: 3}}}}\n{TOPIC}spec: {{clusterRef: {{name: c}}}}\n---\n"
        );
        let manifest = parse(&text).unwrap();
        assert_eq!(manifest.desired.cluster.nodes.len(), 3);
        assert_eq!(manifest.desired.topics.keys().collect::<Vec<_>>(), ["t"]);
    }

    #[test]
    fn a_typo_is_named_with_line_place_and_nearest_name() {
        let text = format!(
            "{CLUSTER}spec:\n  kafka:\n    replicas: 3\n{TOPIC}spec:\n  clusterRef:\n    name: c\n  partitons: 3\n"
        );
        assert_eq!(
            refused(&text),
            ["line 14: KafkaTopic t: spec.partitons: there is no such field; did you mean partitions?"]
        );
    }

    #[test]
    fn a_rule_is_located_too() {
        let text = format!("{CLUSTER}spec:\n  kafka:\n    replicas: 3\n    controllers: 2\n");
        assert!(
            refused(&text)[0]
                .starts_with("line 7: KafkaCluster c: spec.kafka.controllers: 2 controllers survive")
        );
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let text = format!("{CLUSTER}spec:\n  kafka: [\n");
        let found = refused(&text);
        assert!(found[0].starts_with("line 6: this is not valid YAML: "), "{found:?}");
    }

    #[test]
    fn a_foreign_kind_or_version_names_ours() {
        let found = refused("apiVersion: klamm.dev/v1alpha1\nkind: KafkaTopics\n");
        assert_eq!(found, ["line 2: kind: \"KafkaTopics\" is not known here; did you mean KafkaTopic?"]);
        let found = refused("apiVersion: klamm.dev/v1\nkind: KafkaTopic\nmetadata: {name: a}\n");
        assert_eq!(
            found,
            ["line 1: apiVersion: \"klamm.dev/v1\" is not known here: set it to klamm.dev/v1alpha1"]
        );
        let found = refused("apiVersion: klamm.dev/v1alpha1\nkid: KafkaTopic\n");
        assert_eq!(found, ["line 2: kid: there is no such field; did you mean kind?"]);
    }

    #[test]
    fn no_cluster_and_two_clusters_are_refused() {
        assert!(refused("# nothing\n")[0].starts_with("there is no KafkaCluster"));
        let text = format!(
            "{CLUSTER}spec: {{kafka: {{replicas: 1}}}}\n---\n{CLUSTER}spec: {{kafka: {{replicas: 1}}}}\n"
        );
        assert!(refused(&text)[0].contains("is not the only one"));
    }
}
