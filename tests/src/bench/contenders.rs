//! The two sides, driven alike.

use std::cell::Cell;
use std::process::Child;

use anyhow::Result;

use crate::console::Console;
use crate::qemu::{Definition, Qemu};
use crate::tandem::{Machine, Tandem};

/// Something that runs machines.
pub trait Contender {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// Starts a machine; it is off when the value is dropped.
    ///
    /// # Errors
    /// It could not be started.
    fn start(&self, definition: &Definition) -> Result<Box<dyn Running + '_>>;
}

/// A machine that runs.
pub trait Running: Console {
    /// The process that the machine is.
    fn process(&self) -> u32;
}

/// QEMU on KVM.
pub struct Reference;

impl Contender for Reference {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn start(&self, definition: &Definition) -> Result<Box<dyn Running + '_>> {
        Ok(Box::new(Qemu::start(definition)?))
    }
}

impl Running for Qemu {
    fn process(&self) -> u32 {
        Qemu::process(self)
    }
}

/// The program of this project, by its command line.
pub struct Ours {
    tandem: Tandem,
    made: Cell<u32>,
}

impl Ours {
    /// With an empty library.
    ///
    /// # Errors
    /// The program was not built.
    pub fn new() -> Result<Self> {
        Ok(Self { tandem: Tandem::new()?, made: Cell::new(0) })
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "tandem"
    }

    fn start(&self, definition: &Definition) -> Result<Box<dyn Running + '_>> {
        self.made.set(self.made.get() + 1);
        let mut args = vec![
            "--memory".to_owned(),
            format!("{}M", definition.memory_mib),
            "--cpus".to_owned(),
            definition.cpus.to_string(),
        ];
        for (file, thrown_away) in &definition.disks {
            let snapshot = if *thrown_away { ",snapshot" } else { "" };
            args.extend(["--disk".to_owned(), format!("{}{snapshot}", file.display())]);
        }
        if let Some(iso) = &definition.iso {
            args.extend(["--iso".to_owned(), iso.display().to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let machine = self.tandem.create(&format!("bench {}", self.made.get()), &args)?;
        // As a child, whose number is the machine's process.
        let child = machine.run()?;
        Ok(Box::new(Run { machine, child }))
    }
}

struct Run<'a> {
    machine: Machine<'a>,
    child: Child,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.machine.ok("kill", &[]).ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running for Run<'_> {
    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Console for Run<'_> {
    fn title(&self) -> &str {
        self.machine.title()
    }

    fn screen_text(&self) -> Result<String> {
        self.machine.screen_text()
    }

    fn type_text(&self, text: &str) -> Result<()> {
        self.machine.type_text(text)
    }

    fn serial(&self) -> Result<String> {
        self.machine.serial()
    }
}
