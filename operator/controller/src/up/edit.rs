//! Takes up edits of the manifest, or says why not.

use std::path::Path;

use klamm_operator_plan::change;

use super::Up;
use crate::manifest::{Manifest, ManifestError};

impl Up {
    /// Takes up an edit of the manifest, or says why not.
    pub(super) fn reload(&mut self) {
        let edited = match Manifest::read(self.file()) {
            Ok(edited) => edited,
            Err(error) => return self.refuse(error.to_string()),
        };
        let problems = change::problems(&self.manifest.desired, &edited.desired);
        if !problems.is_empty() {
            let (path, complaints) = (self.file().to_owned(), edited.complaints(&problems));
            return self.refuse(ManifestError::Refused { path, complaints }.to_string());
        }
        self.refused_edit = None;
        if edited.desired == self.manifest.desired {
            return;
        }
        self.progress.say("the manifest was edited");
        self.manifest = edited;
        self.look_again = true;
    }

    fn refuse(&mut self, error: String) {
        self.progress.say(format_args!("{error}\nThe edit is not taken up; the cluster stays as it is."));
        self.refused_edit = Some(error);
    }

    fn file(&self) -> &Path {
        self.watch.path()
    }
}
