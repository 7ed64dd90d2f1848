//! QEMU as what to compare with: the same machine, driven over its own protocol (QMP, QEMU's interoperability manual).

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::console::Console;
use crate::keys;
use crate::wait::wait_until;

/// A key stays down for so long, and the next follows after as long: a PS/2 keyboard holds 16 bytes, and a guest in the
/// lab reads them slowly.
const KEY_MS: u32 = 30;
const TEXT_MEMORY: u64 = 0xb8000;
const TEXT_MEMORY_BYTES: u64 = 0x8000;
const COLUMNS: usize = 80;

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The disc in its CD drive.
    pub iso: Option<PathBuf>,
    /// Its disks: images, and whether what is written to them is thrown away.
    pub disks: Vec<(PathBuf, bool)>,
    /// Its memory.
    pub memory_mib: u32,
    /// Its virtual processors.
    pub cpus: u32,
}

/// A machine in QEMU: q35, with SeaBIOS and the standard VGA card.
pub struct Qemu {
    child: Child,
    dir: TempDir,
    monitor: RefCell<Monitor>,
}

impl Qemu {
    /// Starts a machine on KVM.
    ///
    /// # Errors
    /// QEMU could not be started.
    pub fn start(definition: &Definition) -> Result<Self> {
        Self::start_with(definition, &["-accel", "kvm", "-cpu", "host"])
    }

    /// Starts a machine on the accelerator and processor that the options name.
    ///
    /// # Errors
    /// QEMU could not be started.
    pub fn start_with(definition: &Definition, accelerator: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("qemu").tempdir()?;
        let mut command = Command::new("qemu-system-x86_64");
        command.args(accelerator).args(arguments(definition, dir.path())?);
        let log = fs::File::create(dir.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("can't run qemu-system-x86_64")?;
        match connect(&mut child, dir.path()) {
            Ok(monitor) => Ok(Self { child, dir, monitor: RefCell::new(monitor) }),
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                Err(error)
            }
        }
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks its monitor for something, and gives the answer.
    ///
    /// # Errors
    /// It refused, or is gone.
    pub fn ask(&self, command: &str, arguments: &Value) -> Result<Value> {
        self.monitor.borrow_mut().ask(command, arguments)
    }

    /// What its screen shows, as a binary PPM.
    ///
    /// # Errors
    /// It refused, or is gone.
    pub fn picture(&self) -> Result<Vec<u8>> {
        let file = self.dir.path().join("picture.ppm");
        self.ask("screendump", &json!({ "filename": file }))?;
        fs::read(&file).context("QEMU wrote no picture")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Console for Qemu {
    fn title(&self) -> &'static str {
        "QEMU"
    }

    fn screen_text(&self) -> Result<String> {
        // The whole text memory: what is shown begins somewhere in it.
        let file = self.dir.path().join("text");
        self.ask("pmemsave", &json!({ "val": TEXT_MEMORY, "size": TEXT_MEMORY_BYTES, "filename": file }))?;
        Ok(characters(&fs::read(&file)?))
    }

    fn type_text(&self, text: &str) -> Result<()> {
        for character in text.chars() {
            // Its numbers are those of the scan codes' first set, as Linux's are for these keys.
            let keys: Vec<Value> =
                keys::of(character)?.iter().map(|key| json!({ "type": "number", "data": key.0 })).collect();
            self.ask("send-key", &json!({ "keys": keys, "hold-time": KEY_MS }))?;
            thread::sleep(Duration::from_millis(u64::from(2 * KEY_MS)));
        }
        Ok(())
    }

    fn serial(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.dir.path().join("serial"))?).into_owned())
    }
}

fn arguments(definition: &Definition, dir: &Path) -> Result<Vec<String>> {
    let path = |path: &Path| path.to_str().map(|path| path.replace(',', ",,")).context("the path is no text");
    let dir = path(dir)?;
    let mut arguments: Vec<String> = [
        "-nodefaults -no-user-config -machine q35 -vga std -display none",
        &format!("-m {} -smp {}", definition.memory_mib, definition.cpus),
        &format!("-serial file:{dir}/serial -qmp unix:{dir}/qmp,server=on,wait=off"),
    ]
    .iter()
    .flat_map(|line| line.split(' '))
    .map(str::to_owned)
    .collect();
    for (number, (file, thrown_away)) in definition.disks.iter().enumerate() {
        let snapshot = if *thrown_away { ",snapshot=on" } else { "" };
        let format = if file.extension().is_some_and(|end| end == "qcow2") { "qcow2" } else { "raw" };
        let drive = format!("if=none,id=disk{number},format={format},file={}{snapshot}", path(file)?);
        arguments.extend(["-drive".into(), drive]);
        arguments.extend(["-device".into(), format!("ide-hd,drive=disk{number},bus=ide.{number}")]);
    }
    if let Some(iso) = &definition.iso {
        arguments.extend(["-drive".into(), format!("if=none,id=cd,media=cdrom,readonly=on,file={}", path(iso)?)]);
        arguments.extend(["-device".into(), format!("ide-cd,drive=cd,bus=ide.{}", definition.disks.len())]);
    }
    Ok(arguments)
}

/// A connection to QEMU's monitor.
struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

fn connect(child: &mut Child, dir: &Path) -> Result<Monitor> {
    let socket = dir.join("qmp");
    let stream = wait_until("QEMU's monitor", Duration::from_secs(60), || {
        if let Some(status) = child.try_wait()? {
            bail!("QEMU ended ({status}): {}", fs::read_to_string(dir.join("log")).unwrap_or_default().trim());
        }
        Ok(UnixStream::connect(&socket).ok())
    })?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut monitor = Monitor { reader: BufReader::new(stream.try_clone()?), writer: stream };
    monitor.line()?;
    monitor.ask("qmp_capabilities", &json!({}))?;
    Ok(monitor)
}

impl Monitor {
    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).context("QEMU's monitor gave no answer")? == 0 {
            bail!("QEMU has ended");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor wrote {line:?}"))
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.writer.write_all(format!("{request}\n").as_bytes()).context("QEMU's monitor is gone")?;
        loop {
            // Events come in between.
            let mut message = self.line()?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
            if let Some(answer) = message.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }
}

/// The characters of text memory, without their attributes. What is not ASCII becomes a `?`.
fn characters(memory: &[u8]) -> String {
    let mut text = String::new();
    for row in memory.chunks(COLUMNS * 2) {
        let line: String =
            row.iter().step_by(2).map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' }).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_memory_is_read_in_rows() {
        let mut memory = vec![0; 4 * COLUMNS];
        memory[0] = b'G';
        memory[1] = 7;
        memory[2 * COLUMNS] = b'>';
        assert_eq!(characters(&memory), "G\n>\n");
    }
}
