//! `emulator`: the emulator alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Exit, Failure, output, runtime};
use crate::config::parse_size;
use crate::emulator::{Options, StartError, Tls, start};
use crate::service::stop_on_signals;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Folder for everything it keeps; content lies under DIR/objects
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The library there is
    #[arg(long, default_value = "smhemulator")]
    library_id: String,
    /// Its secret
    #[arg(long, default_value = "emulator-secret")]
    library_secret: String,
    /// The space there is
    #[arg(long, default_value = "-")]
    space_id: String,
    /// Deleted things go to a recycle bin
    #[arg(long)]
    recycle_bin: bool,
    /// Bytes that fit, like 100MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    quota: Option<u64>,
    /// Be a media library: one level of albums, media files only
    #[arg(long)]
    media: bool,
    /// Certificate chain in PEM, to serve HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let options = Options {
        listen: args.listen,
        library_id: args.library_id,
        library_secret: args.library_secret,
        space_id: args.space_id,
        recycle_bin: args.recycle_bin,
        quota: args.quota,
        media: args.media,
        tls: args.tls_cert.zip(args.tls_key).map(|(certificate, key)| Tls { certificate, key }),
        ..Options::new(args.data.clone())
    };
    let library = options.library_id.clone();
    let runtime = runtime()?;
    runtime.block_on(async {
        let stop = stop_on_signals().map_err(anyhow::Error::from)?;
        let running = start(options).await.map_err(|error| {
            let exit = match &error {
                StartError::NotLoopback(_) => Exit::Usage,
                _ => Exit::Unexpected,
            };
            Failure::new(exit, error)
        })?;
        output::line(&format!(
            "listening on {}, library {library}, content in {}",
            running.endpoint(),
            args.data.join("objects").display()
        ));
        stop.cancelled().await;
        running.stop();
        Ok(Exit::Done)
    })
}
