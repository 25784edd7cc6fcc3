//! `crd`: prints every CustomResourceDefinition.

use klamm_operator_api::crds;

/// Every definition as one multi-document YAML text.
///
/// # Errors
/// If a definition cannot be written as YAML.
pub fn all() -> Result<String, serde_yaml::Error> {
    let documents = crds::all().iter().map(document).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.concat())
}

/// One definition as a YAML document, as it stands in its file under `crds/`.
///
/// # Errors
/// If it cannot be written as YAML.
pub fn document(crd: &crds::Crd) -> Result<String, serde_yaml::Error> {
    Ok(format!("---\n{}", serde_yaml::to_string(&crd.definition)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_files_under_crds_are_what_is_generated() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
        let mut files: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let crds = crds::all();
        let expected: Vec<&str> = crds.iter().map(|crd| crd.file.as_str()).collect();
        assert_eq!(files, expected);
        for crd in &crds {
            let kept = std::fs::read_to_string(folder.join(&crd.file)).unwrap();
            let generated = document(crd).unwrap();
            assert!(
                kept == generated,
                "crds/{} is not what `klamm-operator crd` prints: write it anew",
                crd.file
            );
        }
    }
}
