//! `assay keys`: a validator's key, encrypted on disk, and the node's own.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{Failure, say};

/// Environment variable with the password of a key.
pub(crate) const PASSWORD: &str = "ASSAY_PASSWORD";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key, encrypted as a Web3 keystore (version 3).
    #[command(after_help = "Example: assay keys new --out validator.json --password-file secret")]
    New(New),
    /// Encrypt a key that exists; its 64 hex digits are read from standard input.
    #[command(after_help = "Example: assay keys import --out validator.json < key.hex")]
    Import(New),
    /// Show whose key a file holds: account and public key, for `assay genesis`.
    #[command(after_help = "Example: assay keys show validator.json --json")]
    Show(Show),
}

#[derive(Args)]
pub(crate) struct New {
    /// File to write; one that exists is never written over.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    password: Password,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Keystore file.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    password: Password,
}

#[derive(Args)]
struct Password {
    /// File with the password; without it the environment's ASSAY_PASSWORD.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::New(new) => new.keep(&PrivateKeySigner::random()),
        Command::Import(new) => {
            let mut text = String::new();
            std::io::stdin()
                .read_line(&mut text)
                .map_err(Failure::failed)?;
            new.keep(&parse(text.trim())?)
        }
        Command::Show(show) => {
            let key = decrypt(&show.file, &show.password.read()?)?;
            let (x, y) = public_key(&key);
            if show.json {
                let x = B256::from(x);
                let y = B256::from(y);
                println!("{}", json!({"account": key.address(), "x": x, "y": y}));
            } else {
                println!("account     {}", key.address());
                println!("public key  {}{:064x}", B256::from(x), y);
            }
            Ok(())
        }
    }
}

impl New {
    /// Writes the key, and says whose it is.
    fn keep(&self, key: &PrivateKeySigner) -> Result<(), Failure> {
        create(&self.out, key, &self.password.read()?)?;
        let account = key.address();
        say(
            self.json,
            &json!({"account": account}),
            format!("account {account}"),
        );
        Ok(())
    }
}

impl Password {
    fn read(&self) -> Result<String, Failure> {
        password(self.password_file.as_deref())
    }
}

/// Reads a password from a file, or from the environment.
pub(crate) fn password(file: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = file else {
        return std::env::var(PASSWORD).map_err(|_| {
            Failure::usage("no password for the key")
                .hint(format!("--password-file FILE, or set {PASSWORD}"))
        });
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Decrypts a key.
pub(crate) fn decrypt(path: &Path, password: &str) -> Result<PrivateKeySigner, Failure> {
    PrivateKeySigner::decrypt_keystore(path, password).map_err(|error| {
        let text = error.to_string();
        match text.contains("Mac Mismatch") {
            true => Failure::failed(format!("{}: wrong password", path.display())).hint(format!(
                "the password this key was made with, in the password file or {PASSWORD}"
            )),
            false => Failure::failed(format!("key {}: {text}", path.display()))
                .hint("a keystore that `assay keys new` or `assay init` made"),
        }
    })
}

/// Encrypts a key into a new file.
pub(crate) fn create(path: &Path, key: &PrivateKeySigner, password: &str) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::usage(format!("{} exists", path.display())).hint("another --out"));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
    let mut random = rand::rngs::OsRng;
    let secret = key.to_bytes();
    PrivateKeySigner::encrypt_keystore(folder, &mut random, secret, password, Some(name))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    restrict(path)
}

/// Writes a secret nobody else may read, into a new file.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("{}: {error}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Reads a secret of 32 bytes, as [`write_secret`] wrote its hex digits.
pub(crate) fn read_secret(path: &Path) -> Result<[u8; 32], Failure> {
    let hint = format!("openssl rand -hex 32 > {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::failed(format!("node key {}: {error}", path.display())).hint(&hint)
    })?;
    hex::decode_to_array(text.trim()).map_err(|_| {
        Failure::failed(format!("node key {}: not 64 hex digits", path.display())).hint(&hint)
    })
}

/// Returns both coordinates of a key's point.
pub(crate) fn public_key(key: &PrivateKeySigner) -> (U256, U256) {
    let bytes = key.public_key();
    let (x, y) = bytes.split_at(32);
    (U256::from_be_slice(x), U256::from_be_slice(y))
}

fn parse(text: &str) -> Result<PrivateKeySigner, Failure> {
    // The text itself is a secret: no message repeats it.
    let bytes: B256 = text
        .parse()
        .map_err(|_| Failure::usage("standard input holds no key: 64 hex digits are wanted"))?;
    PrivateKeySigner::from_bytes(&bytes)
        .map_err(|_| Failure::usage("these digits are no secp256k1 key"))
}

fn restrict(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
