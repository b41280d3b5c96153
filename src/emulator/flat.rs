//! How a tree is written down: as rows, each with its depth, parents first. As deep as a library may be, nested JSON is
//! not read back.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::library::{Dir, FileMeta, Node};

/// An entry: how far below the top it lies, its name, and what it is.
#[derive(Serialize)]
struct RowRef<'a>(usize, &'a str, WhatRef<'a>);

#[derive(Serialize)]
enum WhatRef<'a> {
    Dir(i64),
    File(&'a FileMeta),
}

/// The same, read back.
#[derive(Deserialize)]
struct Row(usize, String, What);

#[derive(Deserialize)]
enum What {
    Dir(i64),
    File(Box<FileMeta>),
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = Vec::new();
        match self {
            Node::Dir(dir) => of_dir(0, "", dir, &mut rows),
            Node::File(file) => rows.push(RowRef(0, "", WhatRef::File(file))),
        }
        serializer.collect_seq(rows)
    }
}

impl Serialize for Dir {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = Vec::new();
        of_dir(0, "", self, &mut rows);
        serializer.collect_seq(rows)
    }
}

fn of_dir<'a>(depth: usize, name: &'a str, dir: &'a Dir, rows: &mut Vec<RowRef<'a>>) {
    rows.push(RowRef(depth, name, WhatRef::Dir(dir.created_ms)));
    for (name, child) in &dir.children {
        match child {
            Node::Dir(child) => of_dir(depth + 1, name, child, rows),
            Node::File(file) => rows.push(RowRef(depth + 1, name, WhatRef::File(file))),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        tree(Vec::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("no tree"))
    }
}

impl<'de> Deserialize<'de> for Dir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Dir, D::Error> {
        match Node::deserialize(deserializer)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(serde::de::Error::custom("a file where a directory should be")),
        }
    }
}

/// Puts rows together again; `None`: they are none of a tree.
fn tree(rows: Vec<Row>) -> Option<Node> {
    // The directories from the top down to the one that is being filled.
    let mut open: Vec<(String, Dir)> = Vec::new();
    for (at, Row(depth, name, what)) in rows.into_iter().enumerate() {
        if (depth == 0) != (at == 0) || depth > open.len() {
            return None;
        }
        while open.len() > depth {
            close(&mut open)?;
        }
        match what {
            What::Dir(created_ms) => {
                open.push((name, Dir { created_ms, ..Dir::default() }));
            }
            What::File(file) if depth == 0 => return Some(Node::File(*file)),
            What::File(file) => {
                open.last_mut()?.1.children.insert(name, Node::File(*file));
            }
        }
    }
    while open.len() > 1 {
        close(&mut open)?;
    }
    open.pop().map(|(_, dir)| Node::Dir(dir))
}

/// The innermost directory is complete.
fn close(open: &mut Vec<(String, Dir)>) -> Option<()> {
    let (name, dir) = open.pop()?;
    open.last_mut()?.1.children.insert(name, Node::Dir(dir));
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::emulator::content::Sums;
    use crate::emulator::library::Library;

    fn file(content_type: &str) -> FileMeta {
        FileMeta {
            sums: Sums::default(),
            content_type: content_type.to_owned(),
            created_ms: 3,
            modified_ms: 4,
            meta: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    #[test]
    fn a_tree_is_read_back_however_deep() {
        let mut library = Library::default();
        let deep = vec!["d".to_owned(); 1_700];
        library.make_dirs(&deep, 7);
        library.make_dirs(&["a".to_owned(), "x".to_owned()], 8);
        library.make_dirs(&["z".to_owned()], 9);
        for path in [vec!["f".to_owned()], vec!["a".to_owned(), "g".to_owned()]] {
            library.put(&path, Node::File(file(&path.join("/"))));
        }
        let written = serde_json::to_string(&library).unwrap();
        let read: Library = serde_json::from_str(&written).unwrap();
        let told = |library: &Library| {
            let mut told = Vec::new();
            library.walk(|path, node| {
                let what = match node {
                    Node::Dir(dir) => format!("{}", dir.created_ms),
                    Node::File(file) => file.content_type.clone(),
                };
                told.push((path.to_vec(), what));
            });
            told
        };
        assert_eq!(told(&read).len(), 1_700 + 2 + 1 + 2);
        assert_eq!(told(&read), told(&library));
        let alone = serde_json::to_string(&Node::File(file("alone"))).unwrap();
        let Ok(Node::File(alone)) = serde_json::from_str(&alone) else { panic!("{alone}") };
        assert_eq!(alone.content_type, "alone");
    }

    #[test]
    fn rows_that_are_no_tree_are_refused() {
        for text in ["[]", r#"[[1,"a",{"Dir":1}]]"#, r#"[[0,"",{"Dir":1}],[2,"a",{"Dir":1}]]"#] {
            assert!(serde_json::from_str::<Node>(text).is_err(), "{text}");
        }
        let two = r#"[[0,"",{"Dir":1}],[0,"",{"Dir":1}]]"#;
        assert!(serde_json::from_str::<Node>(two).is_err());
    }
}
