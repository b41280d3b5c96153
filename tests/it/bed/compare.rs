//! The folder beside what the library holds of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Bed;

impl Bed {
    /// What the library holds below the mirror's folder: path, and size of a file.
    fn held(&self) -> BTreeMap<String, Option<u64>> {
        let (_, tree) = self.call("GET", "/_emulator/tree", None);
        tree["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| {
                let path = entry["path"].as_str().unwrap().strip_prefix("backup/")?.to_owned();
                Some((path, entry["size"].as_u64()))
            })
            .collect()
    }

    /// Entries of the folder that the library does not hold as they are.
    pub(crate) fn missing(&self) -> Vec<String> {
        let held = self.held();
        walk(&self.root())
            .into_iter()
            .filter(|(path, content)| match (content, held.get(path)) {
                (None, Some(None)) => false,
                (Some(content), Some(Some(size))) => {
                    *size != content.len() as u64
                        || fs::read(self.objects().join(path)).ok().as_ref() != Some(content)
                }
                _ => true,
            })
            .map(|(path, _)| path)
            .collect()
    }

    /// Entries of the library that the folder does not have.
    pub(crate) fn extra(&self) -> Vec<String> {
        let here = walk(&self.root());
        self.held().into_keys().filter(|path| !here.contains_key(path)).collect()
    }

    /// What differs between the folder and its copy, as `diff -r` says it.
    pub(crate) fn diff(&self) -> String {
        diff(&self.root(), &self.objects())
    }
}

/// Everything below `folder` by its path; directories have no content.
pub(crate) fn walk(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                folders.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

pub(crate) fn diff(one: &Path, other: &Path) -> String {
    let output = Command::new("diff")
        .arg("-r")
        .arg("--no-dereference")
        .arg(one)
        .arg(other)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
