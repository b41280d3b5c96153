//! `man`: the manual pages of the command, its subcommands and the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::output::print_document;
use super::{Cli, Exit, Failure};
use crate::config::{Chapter, Key, SYSTEM_CONFIG, Standing, reference, smallest};

/// What stands at the foot of every page.
const MANUAL: &str = "smh-mirror manual";
const CONFIG_PAGE: &str = "smh-mirror.toml.5";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The page to print, like smh-mirror-status.1 or smh-mirror.toml.5
    #[arg(default_value = "smh-mirror.1", conflicts_with = "out")]
    page: String,
    /// Write every page into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let pages = pages().context("cannot write the manual pages")?;
    if let Some(dir) = &args.out {
        write_all(&pages, dir)?;
        return Ok(Exit::Done);
    }
    // A page may be asked for as `man` is: without its section, and a command by its own name.
    let wanted = |name: &str| {
        let plain = name.rsplit_once('.').map_or(name, |(plain, _)| plain);
        let command = plain.strip_prefix("smh-mirror-").unwrap_or(plain);
        [name, plain, command].contains(&args.page.as_str())
    };
    let Some((_, text)) = pages.iter().find(|(name, _)| wanted(name)) else {
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        let said = anyhow!("no page is called {}; there are {}", args.page, names.join(", "));
        return Err(Failure::new(Exit::Usage, said));
    };
    print_document(text)?;
    Ok(Exit::Done)
}

fn write_all(pages: &[(String, String)], dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("{}: cannot be created", dir.display()))?;
    for (name, text) in pages {
        let path = dir.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Ok(())
}

/// Every page with the name of its file.
fn pages() -> std::io::Result<Vec<(String, String)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    command_pages(&command, &mut pages)?;
    pages.push((CONFIG_PAGE.to_owned(), config_page()));
    Ok(pages)
}

fn command_pages(
    command: &clap::Command,
    pages: &mut Vec<(String, String)>,
) -> std::io::Result<()> {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render_name_section(&mut text)?;
    let mut usage = Roff::new();
    synopsis(&mut usage, command);
    usage.to_writer(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let is_first = pages.is_empty();
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if is_first {
        exit_status(&mut rest);
        environment(&mut rest);
        files(&mut rest);
    }
    see_also(&mut rest, is_first);
    rest.to_writer(&mut text)?;
    let file = page.get_filename();
    let text = complete(&file, &String::from_utf8_lossy(&text));
    pages.push((file, text));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        command_pages(below, pages)?;
    }
    Ok(())
}

/// How a command is called: the shortest name of each option, with what it takes. That of clap_mangen leaves out the
/// values.
fn synopsis(page: &mut Roff, command: &clap::Command) {
    page.control("SH", ["SYNOPSIS"]);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut words = vec![bold(name)];
    let asked = |id: &str| id != "help" && id != "version";
    let shown =
        command.get_arguments().filter(|arg| !arg.is_hide_set() && asked(arg.get_id().as_str()));
    // What stands for itself comes last.
    let (last, options): (Vec<_>, Vec<_>) = shown.partition(|arg| arg.is_positional());
    for arg in options.into_iter().chain(last) {
        let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
        words.push(roman(format!(" {open}")));
        if let Some(short) = arg.get_short() {
            words.push(bold(format!("-{short}")));
        } else if let Some(long) = arg.get_long() {
            words.push(bold(format!("--{long}")));
        }
        if arg.get_action().takes_values() {
            let value = arg.get_value_names().and_then(|names| names.first());
            if !arg.is_positional() {
                words.push(roman(" "));
            }
            words.push(italic(value.map_or_else(|| arg.get_id().as_str(), |name| name.as_str())));
        }
        let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        words.push(roman(format!("{}{close}", if many { "..." } else { "" })));
    }
    if command.has_subcommands() {
        words.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    page.text(words);
}

/// The page in `file`, like `smh-mirror.1`: `body` behind its title. It bears no date: only a change of what it says
/// changes it.
fn complete(file: &str, body: &str) -> String {
    let (name, section) = file.rsplit_once('.').unwrap_or((file, "1"));
    let version = env!("CARGO_PKG_VERSION");
    // Each part brings the same definitions; once is enough, at the top.
    let definitions = Roff::new().render();
    let body = body.replace(&definitions, "");
    // Written by hand: `Roff` leaves out an argument that is empty.
    format!("{definitions}.TH {name} {section} \"\" \"smh-mirror {version}\" \"{MANUAL}\"\n{body}")
}

fn exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        tagged(page, vec![bold((exit as u8).to_string())], exit.meaning());
    }
}

fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in [
        ("SMH_MIRROR_CONFIG", "The configuration file, as with -c."),
        (
            "SMH_MIRROR_LIBRARY_SECRET",
            "The library secret, when the configuration names no source.",
        ),
        ("SMH_MIRROR_ACCESS_TOKEN", "An access token, when the configuration names no source."),
        (
            "CREDENTIALS_DIRECTORY",
            "Set by systemd: where the credentials library-secret and access-token are looked for.",
        ),
        ("STATE_DIRECTORY", "Set by systemd: the state folder, when the configuration names none."),
        ("RUNTIME_DIRECTORY", "Set by systemd: where the control socket is made."),
        ("NO_COLOR", "When it is not empty, nothing is coloured."),
    ] {
        tagged(page, vec![bold(name)], meaning);
    }
}

fn files(page: &mut Roff) {
    page.control("SH", ["FILES"]);
    for (name, meaning) in [
        ("$XDG_CONFIG_HOME/smh-mirror/config.toml", "The configuration of a person, read first."),
        (SYSTEM_CONFIG, "The configuration of the machine."),
        ("/var/lib/smh-mirror", "The state of the system service: the journal."),
        ("/run/smh-mirror", "The control socket of the system service, while it runs."),
        (".smh-mirrorignore", "In a mirrored folder: gitignore rules for what is left out."),
    ] {
        tagged(page, vec![italic(name)], meaning);
    }
}

fn see_also(page: &mut Roff, is_first: bool) {
    page.control("SH", ["SEE ALSO"]);
    let mut words = vec![bold("smh-mirror.toml"), roman("(5)")];
    if !is_first {
        words.extend([roman(", "), bold("smh-mirror"), roman("(1) for exit status and files")]);
    }
    page.text(words);
}

/// smh-mirror.toml(5), from the words of the sample.
fn config_page() -> String {
    let mut page = Roff::new();
    page.control("SH", ["NAME"]);
    page.text([roman("smh-mirror.toml - configuration of smh-mirror")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([italic(SYSTEM_CONFIG)]);
    page.control("br", []);
    page.text([italic("$XDG_CONFIG_HOME/smh-mirror/config.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    prose(
        &mut page,
        "A TOML file. The one named with `-c` or by `SMH_MIRROR_CONFIG` is read, else that of the user, else that of \
         the machine. An unknown key is an error. `smh-mirror config check` says all that is wrong, `smh-mirror config \
         show` what the file means with every default, `smh-mirror config init` writes a commented sample.",
    );
    page.control("PP", []);
    prose(
        &mut page,
        "Durations are written like `500ms`, `2s`, `5m`, `1h` or `2d`; sizes are bytes, like `20MiB` or `1GB`. Paths are \
         absolute.",
    );
    for chapter in reference() {
        section(&mut page, &chapter);
    }
    page.control("SH", ["EXAMPLE"]);
    page.text([roman("The least that is needed:")]);
    page.control("PP", []);
    page.control("EX", []);
    for line in smallest().lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("smh-mirror"), roman("(1), "), bold("smh-mirror-config"), roman("(1)")]);
    complete(CONFIG_PAGE, &page.render())
}

fn section(page: &mut Roff, chapter: &Chapter) {
    let heading = match chapter.heading.as_str() {
        "" => "BEFORE THE FIRST SECTION",
        heading => heading,
    };
    page.control("SH", [heading]);
    if !chapter.about.is_empty() {
        prose(page, &chapter.about);
    }
    for topic in &chapter.topics {
        for (at, key) in topic.keys.iter().enumerate() {
            page.control(if at == 0 { "TP" } else { "TQ" }, []);
            page.text(key_line(key));
        }
        prose(page, &topic.about);
    }
}

fn key_line(key: &Key) -> Vec<Inline> {
    let standing = match key.standing {
        Standing::Required => "required; an example",
        Standing::Default => "default",
        Standing::Optional => "not set; an example",
    };
    vec![bold(&key.name), roman(format!(" = {}  ({standing})", key.value))]
}

/// Text in which what stands between backticks is code.
fn prose(page: &mut Roff, text: &str) {
    let parts = text.split('`').enumerate();
    let inlines = parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) });
    page.text(inlines.collect::<Vec<_>>());
}

fn tagged(page: &mut Roff, tag: Vec<Inline>, meaning: &str) {
    page.control("TP", []);
    page.text(tag);
    page.text([roman(meaning)]);
}
