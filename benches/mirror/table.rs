//! Rows, and how they are told.

/// One measured thing.
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) goal: &'static str,
    pub(crate) measured: String,
    /// What was run beside it, and the ratio of the two.
    pub(crate) beside: String,
    /// `None`: there is no goal for it.
    pub(crate) reached: Option<bool>,
}

impl Row {
    pub(crate) fn new(work: impl Into<String>, measured: String) -> Row {
        Row { work: work.into(), goal: "", measured, beside: String::new(), reached: None }
    }

    pub(crate) fn goal(self, goal: &'static str, reached: bool) -> Row {
        Row { goal, reached: Some(reached), ..self }
    }

    pub(crate) fn beside(self, beside: impl Into<String>) -> Row {
        Row { beside: beside.into(), ..self }
    }
}

pub(crate) fn head() {
    println!("| work | goal | measured | beside it | reached |");
    println!("|---|---|---|---|---|");
}

/// At once, so that whoever waits sees how far it is.
pub(crate) fn print(row: &Row) {
    let reached = match row.reached {
        None => "",
        Some(true) => "yes",
        Some(false) => "no",
    };
    println!("| {} | {} | {} | {} | {reached} |", row.work, row.goal, row.measured, row.beside);
}
