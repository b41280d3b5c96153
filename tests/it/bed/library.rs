//! What the emulator is told and asked, and what may be sent past it.

use serde_json::Value;

use super::Bed;

/// The body of a form POST, as a browser would send it.
pub(crate) fn form_body(form: &Value, content: &[u8], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in form["form"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// An answer of somebody else than the emulator.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    /// The content type.
    pub(crate) kind: String,
    pub(crate) text: String,
}

async fn fetched(request: reqwest::RequestBuilder) -> Fetched {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    Fetched { status, kind, text: response.text().await.unwrap() }
}

impl Bed {
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.endpoint));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Asks somebody else than the emulator.
    pub(crate) fn fetch(&self, method: &str, url: &str) -> Fetched {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.runtime.block_on(fetched(self.http.request(method, url)))
    }

    /// The same of several at the same time.
    pub(crate) fn fetch_all(&self, urls: &[String]) -> Vec<Fetched> {
        let all = urls.iter().map(|url| fetched(self.http.get(url)));
        self.runtime.block_on(futures_util::future::join_all(all))
    }

    /// A call that may be cut: then `None`.
    pub(crate) fn try_call(&self, method: &str, path: &str) -> Option<u16> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        self.runtime.block_on(async { request.send().await.ok().map(|r| r.status().as_u16()) })
    }

    /// Posts a form; gives the status, the headers, and the code of an XML error as `xml-code`.
    pub(crate) fn post(&self, form: &Value, content: &[u8]) -> (u16, Value) {
        let body = form_body(form, content, "B");
        let url = format!(
            "http://{}{}",
            form["domain"].as_str().unwrap(),
            form["path"].as_str().unwrap()
        );
        let request = self
            .http
            .post(url)
            .header("content-type", "multipart/form-data; boundary=B")
            .body(body);
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let mut headers = serde_json::Map::new();
            for (name, value) in response.headers() {
                headers.insert(name.to_string(), Value::from(value.to_str().unwrap()));
            }
            let text = response.text().await.unwrap();
            if let Some((_, rest)) = text.split_once("<Code>") {
                headers.insert("xml-code".into(), Value::from(rest.split('<').next().unwrap()));
            }
            (status, Value::Object(headers))
        })
    }

    /// Sends content with the signed headers of a task.
    pub(crate) fn put(&self, task: &Value, query: &str, content: &[u8]) -> u16 {
        let url = format!(
            "http://{}{}{query}",
            task["domain"].as_str().unwrap(),
            task["path"].as_str().unwrap()
        );
        let mut request = self.http.put(url).body(content.to_vec());
        for (name, value) in task["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    }

    pub(crate) fn fault(&self, rule: Value) {
        assert_eq!(self.call("POST", "/_emulator/faults", Some(rule)).0, 204);
    }

    /// How often rules of this route and effect hit.
    pub(crate) fn hits(&self, route: &str, effect: &Value) -> u64 {
        self.hits_where(effect, |rule| rule["route"] == route)
    }

    /// How often rules of this effect hit, whatever the route.
    pub(crate) fn hits_of(&self, effect: &Value) -> u64 {
        self.hits_where(effect, |_| true)
    }

    fn hits_where(&self, effect: &Value, wanted: impl Fn(&Value) -> bool) -> u64 {
        let (_, rules) = self.call("GET", "/_emulator/faults", None);
        let effect = effect.as_object().unwrap();
        rules
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| wanted(rule))
            .filter(|rule| effect.iter().all(|(name, value)| rule["effect"][name] == *value))
            .map(|rule| rule["hits"].as_u64().unwrap())
            .sum()
    }

    /// Uploads that were started and neither confirmed nor cancelled.
    pub(crate) fn open_uploads(&self) -> u64 {
        self.call("GET", "/_emulator/tree", None).1["openUploads"].as_u64().unwrap()
    }

    pub(crate) fn no_faults(&self) {
        self.call("DELETE", "/_emulator/faults", None);
    }

    pub(crate) fn forget_requests(&self) {
        self.call("DELETE", "/_emulator/log", None);
    }

    /// Requests to a route so far, whatever came of them.
    pub(crate) fn requests(&self, route: &str) -> u64 {
        let (_, sums) = self.call("GET", "/_emulator/log?summary=1", None);
        sums[route].as_object().map_or(0, |by| by.values().filter_map(Value::as_u64).sum())
    }

    /// All requests but those for tokens.
    pub(crate) fn all_requests(&self) -> u64 {
        self.requests_where(|route| !route.starts_with("token."))
    }

    /// All requests, those for tokens too.
    pub(crate) fn everything_asked(&self) -> u64 {
        self.requests_where(|_| true)
    }

    fn requests_where(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let (_, sums) = self.call("GET", "/_emulator/log?summary=1", None);
        sums.as_object()
            .unwrap()
            .iter()
            .filter(|(route, _)| wanted(route))
            .flat_map(|(_, by)| by.as_object().unwrap().values())
            .filter_map(Value::as_u64)
            .sum()
    }

    /// Paths of the requests to a route, in their order. Not of the content itself, which is sent to a key.
    pub(crate) fn asked_about(&self, route: &str) -> Vec<String> {
        let (_, lines) = self.call("GET", "/_emulator/log", None);
        let lines = lines.as_array().unwrap().iter().filter(|line| line["route"] == route);
        lines.map(|line| line["path"].as_str().unwrap().to_owned()).collect()
    }

    /// How often an upload of `name` was started.
    pub(crate) fn starts_of(&self, name: &str) -> usize {
        let wanted = format!("backup/{name}");
        self.asked_about("file.start").iter().filter(|path| **path == wanted).count()
    }

    /// A token that may do everything, for meddling with the library.
    pub(crate) fn admin(&self) -> String {
        self.token_for("emulator-secret")
    }

    /// The same, of a library with this secret.
    pub(crate) fn token_for(&self, secret: &str) -> String {
        let path =
            format!("/api/v1/token?library_id=smhemulator&library_secret={secret}&grant=admin");
        self.call("POST", &path, None).1["accessToken"].as_str().unwrap().to_owned()
    }
}
