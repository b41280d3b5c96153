//! Taking a multipart/form-data body apart as it streams in: fields, then `file`, then the end. Sheet section 4.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::reply::{CosRefusal, cos_refuse};

/// All fields before the content together; a form is some kilobytes.
const HEAD_MAX: usize = 256 * 1024;

/// What the parser found.
pub(super) enum Part {
    /// More bytes are needed.
    More,
    /// All fields came; content follows.
    FileBegins(Vec<(String, String)>),
    /// A piece of the content.
    Content(Bytes),
    /// The content and the form ended as they should.
    End,
}

enum At {
    Fields,
    Content,
    /// After the delimiter that ended the content.
    Tail,
    Done,
}

/// The parser: bytes in, parts out.
pub(super) struct FormData {
    /// What is not taken apart yet.
    buffer: BytesMut,
    /// A piece of the body that is looked at where it lies: to copy all content would cost as much as to receive it. While
    /// it is not empty, the buffer holds what came before it and, behind that, a copy of its beginning.
    piece: Bytes,
    /// Bytes of the buffer that came before the piece.
    before: usize,
    delimiter: Vec<u8>,
    fields: Vec<(String, String)>,
    at: At,
}

impl FormData {
    pub(super) fn new(boundary: &str) -> FormData {
        // The first delimiter has no line before it: give it one.
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(b"\r\n");
        FormData {
            buffer,
            piece: Bytes::new(),
            before: 0,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            fields: Vec::new(),
            at: At::Fields,
        }
    }

    /// The body goes on. All that could be taken from what came before was taken.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        let seam = self.delimiter.len() - 1;
        match bytes.get(..seam) {
            // As much as a delimiter needs that began before.
            Some(beginning) if matches!(self.at, At::Content) => {
                self.before = self.buffer.len();
                self.buffer.extend_from_slice(beginning);
                self.piece = bytes;
            }
            _ => self.buffer.extend_from_slice(&bytes),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    pub(super) fn next(&mut self) -> Result<Part, CosRefusal> {
        match self.at {
            At::Fields => self.field(),
            At::Content => Ok(self.content()),
            At::Tail => self.tail(),
            At::Done => Ok(Part::More),
        }
    }

    /// One field, or the head of the part `file`.
    fn field(&mut self) -> Result<Part, CosRefusal> {
        let malformed = |what: &str| cos_refuse(400, "MalformedPOSTRequest", what.to_owned());
        loop {
            if self.buffer.len() < self.delimiter.len() + 2 {
                return Ok(Part::More);
            }
            if !self.buffer.starts_with(&self.delimiter) {
                return Err(malformed("the body does not begin with the boundary"));
            }
            let after = self.buffer.get(self.delimiter.len()..).unwrap_or_default();
            if after.starts_with(b"--") {
                return Err(cos_refuse(400, "MalformedPOSTRequest", "the form has no file"));
            }
            let Some(head_end) = memmem::find(after, b"\r\n\r\n") else { return self.more() };
            let head =
                String::from_utf8_lossy(after.get(..head_end).unwrap_or_default()).into_owned();
            let name = parameter(&head, "name").ok_or_else(|| malformed("a part has no name"))?;
            let value_at = self.delimiter.len() + head_end + 4;
            if name == "file" {
                self.buffer.advance(value_at);
                self.at = At::Content;
                return Ok(Part::FileBegins(std::mem::take(&mut self.fields)));
            }
            let rest = self.buffer.get(value_at..).unwrap_or_default();
            let Some(len) = memmem::find(rest, &self.delimiter) else { return self.more() };
            let value = String::from_utf8_lossy(rest.get(..len).unwrap_or_default()).into_owned();
            self.fields.push((name, value));
            self.buffer.advance(value_at + len);
        }
    }

    /// Fields may be incomplete, but not for ever.
    fn more(&self) -> Result<Part, CosRefusal> {
        if self.buffer.len() > HEAD_MAX {
            return Err(cos_refuse(
                400,
                "MalformedPOSTRequest",
                "the fields before the file are too large",
            ));
        }
        Ok(Part::More)
    }

    fn content(&mut self) -> Part {
        if !self.piece.is_empty() {
            return self.content_of_piece();
        }
        if let Some(at) = memmem::find(&self.buffer, &self.delimiter) {
            let content = self.buffer.split_to(at).freeze();
            self.buffer.advance(self.delimiter.len());
            self.at = At::Tail;
            return Part::Content(content);
        }
        // The end of what is here may be the beginning of the delimiter.
        let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
        if safe == 0 { Part::More } else { Part::Content(self.buffer.split_to(safe).freeze()) }
    }

    fn content_of_piece(&mut self) -> Part {
        let len = self.delimiter.len();
        let before = std::mem::take(&mut self.before);
        if before > 0 {
            if let Some(at) = memmem::find(&self.buffer, &self.delimiter) {
                let content = self.buffer.split_to(at).freeze();
                // It began before the piece: what it needs of that is what the rest lacks.
                self.end_of_content(at + len - before);
                return Part::Content(content);
            }
            return Part::Content(self.buffer.split_to(before).freeze());
        }
        if let Some(at) = memmem::find(&self.piece, &self.delimiter) {
            let content = self.piece.slice(..at);
            self.end_of_content(at + len);
            return Part::Content(content);
        }
        let safe = self.piece.len() - (len - 1);
        let content = self.piece.split_to(safe);
        self.buffer.clear();
        self.buffer.extend_from_slice(&std::mem::take(&mut self.piece));
        Part::Content(content)
    }

    /// The piece goes on at `from` with what follows the content.
    fn end_of_content(&mut self, from: usize) {
        let piece = std::mem::take(&mut self.piece);
        self.buffer.clear();
        self.buffer.extend_from_slice(piece.get(from..).unwrap_or_default());
        self.at = At::Tail;
    }

    fn tail(&mut self) -> Result<Part, CosRefusal> {
        if self.buffer.len() < 2 {
            return Ok(Part::More);
        }
        if !self.buffer.starts_with(b"--") {
            return Err(cos_refuse(400, "MalformedPOSTRequest", "the file must be the last field"));
        }
        self.at = At::Done;
        Ok(Part::End)
    }
}

/// `name="value"` in a Content-Disposition line.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|part| {
        let value = part.trim().strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: &[u8], after: &str) -> Vec<u8> {
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n\
            --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name\"\r\n\r\n"
            .to_vec();
        body.extend_from_slice(content);
        body.extend_from_slice(after.as_bytes());
        body
    }

    /// Fields, content, and whether the form ended.
    type Parsed = (Vec<(String, String)>, Vec<u8>, bool);

    /// Takes apart a body that comes in pieces of `step` bytes.
    fn parse(body: &[u8], step: usize) -> Result<Parsed, CosRefusal> {
        let mut parser = FormData::new("B");
        let (mut fields, mut content) = (Vec::new(), Vec::new());
        for piece in body.chunks(step) {
            parser.feed(Bytes::copy_from_slice(piece));
            loop {
                match parser.next()? {
                    Part::More => break,
                    Part::FileBegins(found) => fields = found,
                    Part::Content(bytes) => content.extend_from_slice(&bytes),
                    Part::End => {}
                }
            }
        }
        let done = parser.is_done();
        Ok((fields, content, done))
    }

    #[test]
    fn the_size_of_pieces_does_not_matter() {
        let mut content = b"\r\n--b\r\n-\r\n--A--\r\n--".to_vec();
        content.resize(3 * HEAD_MAX, b'\r');
        let body = body(&content, "\r\n--B--\r\n");
        for step in [1, 4, 5, 6, 7, 8, 11, 4096, HEAD_MAX + 1, body.len()] {
            let (fields, found, done) = parse(&body, step).expect("well formed");
            assert_eq!(fields, [("key".to_owned(), "k".to_owned())], "{step}");
            assert!(found == content && done, "{step}");
        }
    }

    #[test]
    fn nothing_follows_the_file() {
        let after =
            "\r\n--B\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n--B--\r\n";
        let refused = parse(&body(b"x", after), 1000).expect_err("refused");
        assert_eq!(refused.code, "MalformedPOSTRequest");
    }

    #[test]
    fn fields_end_somewhere() {
        let endless = vec![b'x'; HEAD_MAX + 100];
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n".to_vec();
        body.extend_from_slice(&endless);
        assert!(parse(&body, 1000).is_err());
    }
}
