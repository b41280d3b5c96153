//! The units of systemd: what a service manager does with them, as far as that can be asked without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The sandbox may be this open at most, in tenths; design section 11.
const EXPOSURE: &str = "20";
const SYSTEM: [&str; 2] = ["smh-mirror.service", "smh-mirror@.service"];
const USER: &str = "user/smh-mirror.service";

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(unit(name)).unwrap()
}

#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn left_out(why: &str) {
    println!("left out: {why}");
}

/// `None` where the tool is missing, which is said.
fn analyze(args: &[&str], file: &Path) -> Option<Output> {
    let runtime = tempfile::tempdir().unwrap();
    // Units of persons are looked at by a manager that wants a folder of its own.
    let mut command = Command::new("systemd-analyze");
    command.env("XDG_RUNTIME_DIR", runtime.path());
    match command.args(args).arg(file).output() {
        Ok(output) => Some(output),
        Err(error) => {
            left_out(&format!("systemd-analyze cannot be run here: {error}"));
            None
        }
    }
}

#[test]
fn units_say_what_the_daemon_counts_on() {
    for name in SYSTEM.into_iter().chain([USER]) {
        let text = text(name);
        let has = |line: &str| text.lines().any(|found| found == line);
        // A reload is asked of the daemon that was started with this configuration, and tells what came of it.
        let command = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let start = command("ExecStart=").and_then(|line| line.strip_suffix(" run")).unwrap();
        assert_eq!(command("ExecReload="), Some(format!("{start} reload").as_str()), "{name}");
        for line in [
            "Type=notify",
            "NotifyAccess=main",
            "Restart=on-failure",
            "RestartPreventExitStatus=2 78",
            "WatchdogSec=5min",
            "RuntimeDirectoryMode=0700",
            "NoNewPrivileges=yes",
        ] {
            assert!(has(line), "{name} has no line {line}");
        }
        // A sample that is cut short would be found only by whoever needs it.
        for credential in ["library-secret", "access-token"] {
            assert!(text.contains(&format!("#LoadCredential={credential}:")), "{name}");
        }
    }
    for name in SYSTEM {
        let text = text(name);
        for line in ["DynamicUser=yes", "ProtectSystem=strict", "ProtectHome=read-only"] {
            assert!(text.lines().any(|found| found == line), "{name} has no line {line}");
        }
    }
}

#[test]
fn both_system_units_have_the_same_sandbox() {
    let settings = |name: &str| -> Vec<String> {
        let text = text(name);
        let (_, sandbox) = text.split_once("# Backups give way").unwrap();
        sandbox.lines().map(str::to_owned).collect()
    };
    assert_eq!(settings(SYSTEM[0]), settings(SYSTEM[1]));
}

#[test]
fn systemd_accepts_the_units() {
    let tmp = tempfile::tempdir().unwrap();
    for name in SYSTEM.into_iter().chain([USER]) {
        // The program is not installed here; everything else is as it is.
        let with_program =
            text(name).replace("/usr/bin/smh-mirror", env!("CARGO_BIN_EXE_smh-mirror"));
        let file = tmp.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, with_program).unwrap();
        let of = if name == USER { "--user" } else { "--system" };
        let Some(output) = analyze(&["verify", "--man=no", "--recursive-errors=no", of], &file)
        else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn the_sandbox_of_the_system_units_is_tight() {
    for name in SYSTEM {
        let args = ["security", "--no-pager", "--offline=true", &format!("--threshold={EXPOSURE}")];
        let Some(output) = analyze(&args, &unit(name)) else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        if error.contains("unrecognized option") {
            left_out(&format!("this systemd-analyze is too old for --offline: {error}"));
            return;
        }
        assert!(output.status.success(), "{name}: {said}{error}");
        assert!(said.contains("Overall exposure level"), "{name}: {said}{error}");
    }
}
